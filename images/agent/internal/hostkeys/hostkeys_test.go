package hostkeys

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func prepare(t *testing.T, names ...string) string {
	directory := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(directory, name), []byte("the parent's"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func TestKeysOfTheKindsThereWereAreMadeAnew(t *testing.T) {
	directory := prepare(t, "ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", "ssh_host_ecdsa_key", "ssh_host_dsa_key", "moduli")
	told := 0

	keys, err := Renew(directory, "root@fork", func() { told++ })

	if err != nil || len(keys) != 2 || told != 1 {
		t.Fatalf("%v %v %d", keys, err, told)
	}
	left, _ := filepath.Glob(filepath.Join(directory, "*"))
	if len(left) != 5 {
		t.Errorf("left: %v", left)
	}
	for _, path := range left {
		content, _ := os.ReadFile(path)
		if filepath.Base(path) != "moduli" && strings.Contains(string(content), "the parent's") {
			t.Errorf("%s is still the parent's", path)
		}
	}
}

func TestAnImageWithoutHostKeysGetsNone(t *testing.T) {
	directory := prepare(t, "moduli")

	keys, err := Renew(directory, "root@fork", func() { t.Error("told") })

	if err != nil || len(keys) != 0 {
		t.Errorf("%v %v", keys, err)
	}
}

func TestOpenSSHReadsWhatIsWritten(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("there is no ssh-keygen here")
	}
	directory := t.TempDir()
	for kind, make := range map[string]maker{"ed25519": newEd25519, "ecdsa": newECDSA, "rsa": newRSA} {
		key, err := write(directory, kind, "root@fork", make)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(directory, "ssh_host_"+kind+"_key")
		public, err := exec.Command(keygen, "-y", "-f", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %s", kind, public)
		}
		print, _ := exec.Command(keygen, "-l", "-f", path+".pub").CombinedOutput()
		if !strings.HasPrefix(string(public), key.Type) || !strings.Contains(string(print), key.Fingerprint) {
			t.Errorf("%s: %s %s %+v", kind, public, print, key)
		}
	}
}
