package mounts

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	covered = "tmpfs createos-disk"
	disk    = "fuse.s3fs s3fs"
)

// stack is what is mounted at a place, the uppermost last.
func (l *lab) stack(place string) string {
	var kinds []string
	for _, one := range l.System.points("self") {
		if one.path == place {
			kinds = append(kinds, one.kind+" "+one.source)
		}
	}
	return strings.Join(kinds, ", ")
}

func (l *lab) held() {
	l.t.Helper()
	if h := l.ask("hold", map[string]any{"deadline_ms": 60000}); string(h.Result) != `{"unmounted":["m1"],"kept":[],"failed":[]}` {
		l.t.Fatal(string(h.Result))
	}
	_ = os.Remove(l.path("ended"))
}

func (l *lab) mustBe(place, stack string) {
	l.t.Helper()
	if got := l.stack(place); got != stack {
		l.t.Fatalf("%s: %q", place, got)
	}
}

func TestADiskLiesOnACoverThatNobodyCanWriteTo(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	l.mustBe("/mnt/data", covered+", "+disk)
	cover := regexp.MustCompile(`(?m) ro - tmpfs createos-disk mode=0555,.*nr_inodes=1$`)
	if info := l.read("proc/self/mountinfo"); !cover.MatchString(info) {
		t.Fatal(info)
	}
}

func TestACoverStaysOverAHoldAndIsUsedAgain(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	for range 2 {
		l.held()
		l.mustBe("/mnt/data", covered)
		if l.states() != "m1 ended\n" {
			t.Fatal(l.states())
		}
	}
	l.mounted(nil)
	l.mustBe("/mnt/data", covered+", "+disk)
	if l.states() != "m1 mounted\n" {
		t.Fatal(l.states())
	}
}

func TestEveryUnmountTakesTheCoverAway(t *testing.T) {
	for name, before := range map[string]func(*lab){
		"clean":  func(*lab) {},
		"forced": func(l *lab) { l.set(func() { l.busy = true }) },
		"held":   func(l *lab) { l.held() },
		"ended": func(l *lab) {
			l.write("ended", "")
			for l.states() != "m1 ended\n" {
				time.Sleep(time.Millisecond)
			}
		},
		"taken away in the guest": func(l *lab) { _ = l.System.Unmount(l.path("mnt/data"), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.mounted(nil)
			before(l)
			l.unmountResult(map[string]any{"id": "m1", "force": true, "deadline_ms": 60000})
			l.mustBe("/mnt/data", "")
			if l.states() != "" {
				t.Fatal(l.states())
			}
		})
	}
}

func TestAMountThatFailsLeavesACoverOnlyWhereADiskWas(t *testing.T) {
	l := newLab(t)
	bad := wanted(map[string]any{"bucket": "bad-keys"})
	if h := l.ask("mount", bad); h.Code != "failed" {
		t.Fatal(h.Code, h.Message)
	}
	l.mustBe("/mnt/data", "")
	l.mounted(nil)
	l.held()
	if h := l.ask("mount", bad); h.Code != "failed" {
		t.Fatal(h.Code, h.Message)
	}
	l.mustBe("/mnt/data", covered)
	if l.states() != "m1 ended\n" {
		t.Fatal(l.states())
	}
	l.mounted(nil)
	l.mustBe("/mnt/data", covered+", "+disk)
}

func TestACoverThatNobodyHasIsUsed(t *testing.T) {
	l := newLab(t)
	if err := os.MkdirAll(l.path("mnt/data"), 0o755); err != nil {
		t.Fatal(err)
	}
	_ = l.mountCall(coverSource, l.path("mnt/data"), coverKind, coverFlags, coverData)
	l.mounted(nil)
	l.mustBe("/mnt/data", covered+", "+disk)
}

func TestAPlaceThatIsCoveredForAnotherDiskIsRefused(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	l.held()
	if err := os.Symlink(l.path("mnt/data"), l.path("mnt/other")); err != nil {
		t.Fatal(err)
	}
	if h := l.ask("mount", wanted(map[string]any{"id": "m2"})); h.Code != "busy" {
		t.Fatal(h.Code, h.Message)
	}
	h := l.ask("mount", wanted(map[string]any{"id": "m2", "path": "/mnt/other"}))
	if h.Code != "bad_path" || !strings.HasPrefix(h.Message, "another disk is mounted") {
		t.Fatal(h.Code, h.Message)
	}
	l.mustBe("/mnt/data", covered)
}

func TestACoverMovesWithItsDisk(t *testing.T) {
	l := newLab(t)
	for _, name := range []string{"mnt/one", "mnt/two"} {
		if err := os.MkdirAll(l.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(l.path("mnt/data"))
		if err := os.Symlink(l.path(name), l.path("mnt/data")); err != nil {
			t.Fatal(err)
		}
		l.mounted(nil)
		l.held()
		l.mustBe("/"+name, covered)
	}
	l.mustBe("/mnt/one", "")
}

func TestWhatIsWrittenJustBeforeTheCoverLiesIsNotHidden(t *testing.T) {
	l := newLab(t)
	l.System.Mount = func(source, target, kind string, flags uintptr, data string) error {
		l.write("mnt/data/late", "")
		return l.mountCall(source, target, kind, flags, data)
	}
	if h := l.ask("mount", wanted(nil)); h.Code != "bad_path" || !strings.Contains(h.Message, "not empty") {
		t.Fatal(h.Code, h.Message)
	}
	l.mustBe("/mnt/data", "")
}

func TestAnUnmountThatHangsNeverTakesTheCover(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	hang := make(chan struct{})
	l.set(func() { l.hang = hang })
	if h := l.ask("hold", map[string]any{"deadline_ms": 100}); !strings.Contains(string(h.Result), `"failed":[{"id":"m1"`) {
		t.Fatal(string(h.Result))
	}
	_, over := l.begin("hold", map[string]any{"deadline_ms": 60000})
	time.Sleep(50 * time.Millisecond)
	close(hang)
	<-over
	l.mustBe("/mnt/data", covered)
}

func TestADiskThatWasHeldCanAskTheHostInstead(t *testing.T) {
	l := newLab(t)
	l.mounted(map[string]any{"url": "http://198.51.100.1", "access_key": "ACCESSKEY", "secret_key": "SECRETKEY"})
	l.held()
	l.mounted(nil)
	if !strings.Contains(l.read("argv"), "url=http://127.0.0.1:") {
		t.Fatal(l.read("argv"))
	}
}
