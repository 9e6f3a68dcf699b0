package users

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func files(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	os.Mkdir(filepath.Join(root, "etc"), 0o755)
	os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/bash\nbroken\nada:x:1000:1001::/home/ada:/bin/sh\n"), 0o644)
	os.WriteFile(filepath.Join(root, "etc/group"), []byte("root:x:0:\nstaff:x:50:ada,bob\nweb:x:33:ada\n"), 0o644)
	return root
}

func TestUsersAreFoundByNameAndNumberWithTheirGroups(t *testing.T) {
	ada := User{Name: "ada", Home: "/home/ada", Shell: "/bin/sh", UID: 1000, GID: 1001, Groups: []uint32{50, 33}}
	inWeb := ada
	inWeb.GID = 33
	for spec, want := range map[string]User{
		"ada": ada, "1000": ada, "ada:web": inWeb, "1000:33": inWeb,
		"":     {Name: "root", Home: "/root", Shell: "/bin/bash"},
		"4242": {Name: "4242", Home: "/", UID: 4242},
	} {
		got, err := Find(files(t), spec)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", spec, got, err)
		}
	}
}

func TestUnknownNamesAreErrors(t *testing.T) {
	for _, spec := range []string{"eve", "ada:nowhere", "-1", "99999999999"} {
		if got, err := Find(files(t), spec); err == nil {
			t.Errorf("%q: %+v", spec, got)
		}
	}
}

func TestAnImageWithoutFilesHasRoot(t *testing.T) {
	got, err := Find(t.TempDir(), "root")
	if err != nil || got.UID != 0 || got.Home != "/root" {
		t.Errorf("%+v, %v", got, err)
	}
}
