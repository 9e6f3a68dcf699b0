package mounts

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func (l *lab) unmountResult(request map[string]any) string {
	l.t.Helper()
	h := l.ask("unmount", request)
	if h.Code != "" {
		return h.Code
	}
	return string(h.Result)
}

func TestWhatNobodyUsesIsUnmountedCleanly(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	for _, result := range []string{`{"how":"clean"}`, `{"how":"gone"}`} {
		if got := l.unmountResult(map[string]any{"id": "m1", "deadline_ms": 60000}); got != result {
			t.Fatal(got)
		}
	}
	if left, _ := os.ReadDir(l.path("var/lib/createos/mounts")); len(left) != 0 {
		t.Fatal(left)
	}
}

func TestABusyMountStaysUnlessForced(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	l.set(func() { l.busy = true })
	if got := l.unmountResult(map[string]any{"id": "m1", "deadline_ms": 60000}); got != "busy" {
		t.Fatal(got)
	}
	if l.states() != "m1 mounted\n" {
		t.Fatal(l.states())
	}
	if got := l.unmountResult(map[string]any{"id": "m1", "force": true, "deadline_ms": 1000}); got != `{"how":"lazy"}` && got != `{"how":"killed"}` {
		t.Fatal(got)
	}
	if l.read("sys/fs/fuse/connections/45/abort") != "1" {
		t.Fatal("what waits for the mount was not made to fail")
	}
}

func TestAnS3fsThatStaysIsKilled(t *testing.T) {
	l := newLab(t)
	l.mounted(map[string]any{"bucket": "stubborn"})
	if got := l.unmountResult(map[string]any{"id": "m1", "force": true, "deadline_ms": 100}); got != `{"how":"killed"}` {
		t.Fatal(got)
	}
}

func TestAnUnmountThatHangsIsNeverTriedTwice(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	l.set(func() { l.hang = make(chan struct{}) })
	for range 2 {
		if got := l.unmountResult(map[string]any{"id": "m1", "deadline_ms": 100}); got != "timeout" {
			t.Fatal(got)
		}
	}
	l.mu.Lock()
	tries := len(l.unmounts)
	l.mu.Unlock()
	if tries != 1 {
		t.Fatal(tries)
	}
	close(l.hang)
	// It may have come to its end before it is asked for again.
	if got := l.unmountResult(map[string]any{"id": "m1", "deadline_ms": 60000}); got != `{"how":"clean"}` && got != `{"how":"gone"}` {
		t.Fatal(got)
	}
}

func TestAMountingIsGivenUpForAForcedUnmount(t *testing.T) {
	l := newLab(t)
	h, over := l.begin("mount", wanted(map[string]any{"bucket": "silent"}))
	l.started()
	for l.unmountResult(map[string]any{"id": "m1", "force": true, "deadline_ms": 100}) != `{"how":"gone"}` {
	}
	if <-over; h.Code != "cancelled" {
		t.Fatal(h.Code)
	}
}

func TestWhatHasEndedIsSaidAndCanBeMountedAnew(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	l.write("ended", "")
	for l.states() != "m1 ended\n" {
		time.Sleep(time.Millisecond)
	}
	_ = os.Remove(l.path("ended"))
	l.mounted(nil)
	if l.states() != "m1 mounted\n" {
		t.Fatal(l.states())
	}
}

func TestHoldUnmountsWhatNobodyUses(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	if h := l.ask("hold", map[string]any{"deadline_ms": 60000}); string(h.Result) != `{"unmounted":["m1"],"kept":[],"failed":[]}` {
		t.Fatal(string(h.Result))
	}
}

func TestHoldWritesOutWhatIsOpen(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	l.set(func() { l.busy = true })
	l.write("proc/77/mountinfo", "91 1 0:45 / /elsewhere rw - fuse.s3fs s3fs rw\n92 1 8:1 / / rw - ext4 /dev/vda rw\n")
	l.write("proc/77/fdinfo/3", "pos:\t0\nflags:\t0100001\nmnt_id:\t91\n")
	l.write("proc/77/fdinfo/4", "pos:\t0\nflags:\t0100000\nmnt_id:\t91\n")
	l.write("proc/77/fdinfo/5", "pos:\t0\nflags:\t0100002\nmnt_id:\t92\n")
	h := l.ask("hold", map[string]any{"deadline_ms": 60000})
	if string(h.Result) != `{"unmounted":[],"kept":["m1"],"failed":[]}` || fmt.Sprint(l.synced) != "[{77 3}]" {
		t.Fatal(string(h.Result), l.synced)
	}
}

func TestAHoldThatHangsIsGivenUpForAForcedUnmount(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	hang := make(chan struct{})
	l.set(func() { l.hang = hang })
	h, over := l.begin("hold", map[string]any{"deadline_ms": 60000})
	for tries := 0; tries == 0; time.Sleep(time.Millisecond) {
		l.set(func() { tries = len(l.unmounts) })
	}
	go func() {
		for l.read("sys/fs/fuse/connections/45/abort") == "" {
			time.Sleep(time.Millisecond)
		}
		close(hang)
	}()
	for l.unmountResult(map[string]any{"id": "m1", "force": true, "deadline_ms": 100}) != `{"how":"gone"}` {
	}
	if <-over; string(h.Result) != `{"unmounted":["m1"],"kept":[],"failed":[]}` {
		t.Fatal(string(h.Result))
	}
}
