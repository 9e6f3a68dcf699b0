package identity

import (
	"os"
	"path/filepath"
	"testing"
)

const parent, child = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

func guestRoot(t *testing.T) string {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestAMachineIDIsKeptUnlessTheGuestIsACopy(t *testing.T) {
	root := guestRoot(t)
	for _, step := range []struct {
		id    string
		renew bool
		is    string
	}{{parent, false, parent}, {child, false, parent}, {child, true, child}} {
		if err := setMachineID(root, step.id, step.renew); err != nil {
			t.Fatal(err)
		}
		if found := machineID(root); found != step.is {
			t.Errorf("%s instead of %s", found, step.is)
		}
	}
}

func TestAMachineIDThatIsALinkStaysOne(t *testing.T) {
	root := guestRoot(t)
	path := filepath.Join(root, "etc/machine-id")
	if err := os.Symlink("elsewhere", path); err != nil {
		t.Fatal(err)
	}
	if err := setMachineID(root, child, true); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(path); err != nil || target != "elsewhere" {
		t.Errorf("%q, %v", target, err)
	}
	if found := machineID(root); found != child {
		t.Errorf("%q", found)
	}
}
