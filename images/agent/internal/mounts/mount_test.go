package mounts

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestAMountIsThereWhenItHasAnswered(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	if l.states() != "m1 mounted\n" {
		t.Fatal(l.states())
	}
	if h := l.ask("mount", wanted(nil)); h.Code != "" {
		t.Fatal("the same again:", h.Code, h.Message)
	}
	if argv := l.read("argv"); !strings.Contains(argv, "\ngood\n"+l.path("mnt/data")+"\n-f\n") {
		t.Fatal(argv)
	}
}

func TestKeysAreInAFileThatIsGoneAfterwards(t *testing.T) {
	l := newLab(t)
	l.mounted(map[string]any{"url": "https://198.51.100.1:9000", "access_key": "ACCESSKEY", "secret_key": "SECRETKEY"})
	if l.read("keys") != "ACCESSKEY:SECRETKEY\n" {
		t.Fatal(l.read("keys"))
	}
	if found, _ := os.Stat(l.path("keys")); found.Mode().Perm() != 0o600 {
		t.Fatal(found.Mode())
	}
	if strings.Contains(l.read("argv")+l.read("environment"), "SECRETKEY") {
		t.Fatal("a key is where everybody can read it")
	}
	if left, _ := os.ReadDir(l.path("run/createos/mounts")); len(left) != 0 {
		t.Fatal(left)
	}
}

func TestAuthoritiesOfTheHostAreTrustedAsLongAsTheMountLasts(t *testing.T) {
	l := newLab(t)
	const theirs = "-----BEGIN CERTIFICATE-----\n"
	l.mounted(map[string]any{
		"url": "https://198.51.100.1:9000", "access_key": "ACCESSKEY", "secret_key": "SECRETKEY", "authorities": theirs,
	})
	_, bundle, _ := strings.Cut(l.read("environment"), "CURL_CA_BUNDLE=")
	bundle, _, _ = strings.Cut(bundle, "\n")
	if text, err := os.ReadFile(bundle); string(text) != theirs {
		t.Fatal(bundle, string(text), err)
	}
}

func TestWithoutAURLTheGuestHasNoKeys(t *testing.T) {
	l := newLab(t)
	l.mounted(map[string]any{"access_key": "ACCESSKEY", "secret_key": "SECRETKEY", "path_style": false})
	if strings.Contains(l.read("keys"), "SECRETKEY") || !strings.HasPrefix(l.read("keys"), "createos:") {
		t.Fatal(l.read("keys"))
	}
	if !strings.Contains(l.read("argv"), "url=http://127.0.0.1:") || !strings.Contains(l.read("argv"), "use_path_request_style") {
		t.Fatal(l.read("argv"))
	}
}

func TestS3fsThatEndsInPeaceWithoutAMountHasFailed(t *testing.T) {
	l := newLab(t)
	h := l.ask("mount", wanted(map[string]any{
		"bucket": "bad-keys", "url": "http://198.51.100.1", "access_key": "ACCESSKEY", "secret_key": "SECRETKEY",
	}))
	if h.Code != "failed" || h.Message != "invalid credentials for ***" {
		t.Fatal(h.Code, h.Message)
	}
	if l.states() != "" {
		t.Fatal(l.states())
	}
}

func TestACancelledMountLeavesNothing(t *testing.T) {
	l := newLab(t)
	h, over := l.begin("mount", wanted(map[string]any{"bucket": "silent"}))
	l.started()
	h.Cancel()
	if <-over; h.Code != "cancelled" {
		t.Fatal(h.Code, h.Message)
	}
	if len(l.all()) != 0 {
		t.Fatal(l.all())
	}
}

func TestPathsThatAreNoPlaceForADisk(t *testing.T) {
	l := newLab(t)
	l.write("file", "x")
	l.write("full/x", "x")
	if err := os.Symlink(l.path("proc"), l.path("sneaky")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"mnt", "", "/", "//", "/mnt/..", "/proc", "/sys/x", "/dev/x", "/run/x", "/mnt/../run", "/file", "/full", "/sneaky"} {
		if h := l.ask("mount", wanted(map[string]any{"path": path})); h.Code != "bad_path" {
			t.Errorf("%q: %s %s", path, h.Code, h.Message)
		}
	}
}

func TestRequestsThatS3fsWouldTakeForSomethingElse(t *testing.T) {
	l := newLab(t)
	for key, value := range map[string]string{
		"id": "../x", "bucket": "-o", "prefix": "../x", "region": "a,allow_root", "url": "http://x/,passwd_file=/etc/passwd",
	} {
		if h := l.ask("mount", wanted(map[string]any{key: value})); h.Code != "bad_request" {
			t.Errorf("%s %q: %s", key, value, h.Code)
		}
	}
	h := l.ask("mount", wanted(map[string]any{"url": "http://x", "access_key": "a:b", "secret_key": "c\nd"}))
	if h.Code != "bad_request" {
		t.Error(h.Code)
	}
}

func TestOnePathHasOneDisk(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	for _, other := range []map[string]any{{"id": "m2"}, {"path": "/mnt/other"}} {
		if h := l.ask("mount", wanted(other)); h.Code != "busy" {
			t.Errorf("%v: %s", other, h.Code)
		}
	}
}

func TestTheToolsDiskIsFoundByItsSerial(t *testing.T) {
	l := newLab(t)
	l.write("proc/self/mountinfo", "")
	l.write("sys/block/vda/serial", "")
	l.write("sys/block/vdb/serial", "createos-tools")
	l.write("dev/vdb", "")
	var got []string
	l.System.Mount = func(source, target, kind string, flags uintptr, _ string) error {
		got = append(got, fmt.Sprint(source, " ", target, " ", kind, " ", flags&syscall.MS_RDONLY))
		return nil
	}
	if err := l.System.tools(nil); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("[%s %s ext4 1]", l.path("dev/vdb"), l.path("run/createos/tools")); fmt.Sprint(got) != want {
		t.Fatal(got)
	}
}

func TestMountPointsHaveTheirOwnSpelling(t *testing.T) {
	l := newLab(t)
	l.write("proc/self/mountinfo", "36 1 0:45 / /mnt/a\\040b\\134 rw,nosuid shared:1 - fuse.s3fs s3fs rw\nnonsense\n")
	if point, ok := l.System.at(`/mnt/a b\`); !ok || point.minor() != "45" || point.kind != kind {
		t.Fatal(point, ok)
	}
}
