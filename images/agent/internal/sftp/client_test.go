package sftp

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// batchOf runs lines in OpenSSH's own client against this server, in a directory, and returns what it prints.
func batchOf(t *testing.T, directory string, lines ...string) string {
	t.Helper()
	client, err := exec.LookPath("sftp")
	if err != nil {
		t.Skip("no sftp client")
	}
	command := exec.Command(client, "-q", "-b", "-", "-D", os.Args[0])
	command.Dir = directory
	command.Env = append(os.Environ(), "SERVE_SFTP=1", "HOME="+directory)
	command.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return string(output)
}

func TestTheRealClientMovesAFileBothWays(t *testing.T) {
	dir := t.TempDir()
	content := make([]byte, 3<<20+17)
	_, _ = rand.Read(content)
	if err := os.WriteFile(dir+"/a", content, 0o640); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1_600_000_000, 0)
	_ = os.Chtimes(dir+"/a", when, when)

	batchOf(t, dir, "put -p a b", "get -p b c")

	for _, name := range []string{"b", "c"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		info, _ := os.Stat(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, content) {
			t.Fatal(name, "differs", err)
		}
		if info.Mode().Perm() != 0o640 || !info.ModTime().Equal(when) {
			t.Fatal(name, info.Mode(), info.ModTime())
		}
	}
}

func TestTheRealClientUsesTheExtensions(t *testing.T) {
	dir := t.TempDir()
	_ = os.WriteFile(dir+"/a", []byte("new"), 0o600)
	_ = os.WriteFile(dir+"/b", []byte("old"), 0o600)

	out := batchOf(t, dir, "ln a hard", "ln -s a soft", "rename a b", "df -h .", "mkdir d", "put -f b d/synced", "chmod 700 b", "ls -la")

	if content, _ := os.ReadFile(dir + "/b"); string(content) != "new" {
		t.Fatalf("rename: %q", content)
	}
	if target, _ := os.Readlink(dir + "/soft"); target != "a" {
		t.Fatal(target)
	}
	for _, expected := range []string{"%Capacity", "-rwx------", "lrwxrwxrwx", "root", "hard", " .."} {
		if !strings.Contains(out, expected) {
			t.Errorf("%q is not in\n%s", expected, out)
		}
	}
}

func TestTheRealClientWalksATree(t *testing.T) {
	dir := t.TempDir()
	_ = os.MkdirAll(dir+"/tree/x/y", 0o750)
	_ = os.WriteFile(dir+"/tree/x/y/f", []byte("deep"), 0o600)
	_ = os.WriteFile(dir+"/tree/empty", nil, 0o600)

	batchOf(t, dir, "put -r tree up", "get -r up down", "rm up/empty", "-rmdir up", "rm up/x/y/f", "rmdir up/x/y")

	if content, _ := os.ReadFile(dir + "/down/x/y/f"); string(content) != "deep" {
		t.Fatalf("%q", content)
	}
	if _, err := os.Stat(dir + "/up/empty"); !os.IsNotExist(err) {
		t.Fatal(err)
	}
}
