package mounts

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"createos.local/agent/internal/muxtest"
	"createos.local/agent/internal/reap"
)

// fakeProgram stands for ld.so and s3fs: it "mounts" by a line in the guest's mountinfo, and ends as s3fs does. What it does is the
// name of its bucket.
const fakeProgram = `#!/bin/sh
root=%s
env > "$root/environment"
: > "$root/sys/fs/fuse/connections/45/abort"
keys=$(printf '%%s' "${11}" | tr , '\n' | sed -n 's/^passwd_file=//p')
cp -p "$keys" "$root/keys"
printf '%%s\n' "$@" > "$root/argv.new"
mv "$root/argv.new" "$root/argv"
case $7 in
bad-keys)
	echo '2026-01-01T00:00:00.000Z [INF] s3fs version 1.90: s3fs -f'
	echo '2026-01-01T00:00:00.000Z [CRT] s3fs.cpp:check(1): invalid credentials for SECRETKEY'
	exit 0 ;;
silent) ;;
*) echo "36 1 0:45 / ${8#"$root"} rw - fuse.s3fs s3fs rw" >> "$root/proc/self/mountinfo" ;;
esac
trap '' TERM
while :; do
	if [ "$7" != stubborn ] && { [ -e "$root/ended" ] || [ -s "$root/sys/fs/fuse/connections/45/abort" ]; }; then exit 0; fi
	sleep 0.02
done
`

var reaper = sync.OnceValue(reap.New)

// lab is a guest in a directory.
type lab struct {
	*Server
	t    *testing.T
	root string

	mu       sync.Mutex
	busy     bool
	unmounts []int
	synced   []descriptor
	// hang is what a clean unmount waits for.
	hang chan struct{}
	// over is set when the directory goes.
	over bool
}

func newLab(t *testing.T) *lab {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, root: root}
	l.write("proc/self/mountinfo", "20 1 254:16 / /run/createos/tools ro - ext4 /dev/vdb ro\n")
	l.write("dev/fuse", "")
	l.write("sys/fs/fuse/connections/45/abort", "")
	l.write("run/createos/tools/lib/ld.so", fmt.Sprintf(fakeProgram, root))
	if err := os.Chmod(l.path("run/createos/tools/lib/ld.so"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.Server = &Server{Reaper: reaper(), Idle: func() {}, System: System{
		Root:    root,
		Mount:   func(string, string, string, uintptr, string) error { return nil },
		Unmount: l.unmountCall,
		Answers: func(string) error { return nil },
		Sync: func(pid, fd int) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.synced = append(l.synced, descriptor{pid, fd})
			return nil
		},
	}}
	t.Cleanup(func() {
		l.set(func() { l.busy = false })
		for _, m := range l.all() {
			_, _ = l.unmount(m.id, true, time.Now().Add(time.Minute))
		}
		l.set(func() { l.over = true })
	})
	return l
}

func (l *lab) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *lab) path(name string) string { return filepath.Join(l.root, name) }

func (l *lab) write(name, text string) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(l.path(name)), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(l.path(name), []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) read(name string) string {
	text, _ := os.ReadFile(l.path(name))
	return string(text)
}

// unmountCall does to the mountinfo what the system call does to the tree.
func (l *lab) unmountCall(target string, flags int) error {
	l.mu.Lock()
	l.unmounts = append(l.unmounts, flags)
	busy, hang := l.busy, l.hang
	l.mu.Unlock()
	detached := flags&syscall.MNT_DETACH != 0
	if busy && !detached {
		return syscall.EBUSY
	}
	if hang != nil && !detached {
		<-hang
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return syscall.EINVAL
	}
	line := regexp.MustCompile(`(?m)^.* ` + regexp.QuoteMeta(strings.TrimPrefix(target, l.root)) + ` .*\n`)
	l.write("proc/self/mountinfo", line.ReplaceAllString(l.read("proc/self/mountinfo"), ""))
	if !detached {
		l.write("ended", "")
	}
	return nil
}

func (l *lab) ask(kind string, request map[string]any) *muxtest.Host {
	l.t.Helper()
	return muxtest.Open(l.t, l.Handler(kind), request).Finish()
}

// begin opens a stream and reads it to its end in the background.
func (l *lab) begin(kind string, request map[string]any) (*muxtest.Host, <-chan struct{}) {
	l.t.Helper()
	h := muxtest.Open(l.t, l.Handler(kind), request)
	return h, finishing(h)
}

func finishing(h *muxtest.Host) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		h.Finish()
	}()
	return over
}

// started waits until s3fs runs.
func (l *lab) started() {
	for l.read("argv") == "" {
		time.Sleep(time.Millisecond)
	}
}

func wanted(changes map[string]any) map[string]any {
	request := map[string]any{"id": "m1", "path": "/mnt/data", "bucket": "good"}
	for key, value := range changes {
		request[key] = value
	}
	return request
}

func (l *lab) mounted(changes map[string]any) {
	l.t.Helper()
	if h := l.ask("mount", wanted(changes)); h.Code != "" {
		l.t.Fatal(h.Code, h.Message)
	}
}

func (l *lab) states() string {
	l.t.Helper()
	var said struct {
		Mounts []struct{ ID, State, Error string }
	}
	if err := json.Unmarshal(l.ask("mounts", nil).Result, &said); err != nil {
		l.t.Fatal(err)
	}
	text := ""
	for _, one := range said.Mounts {
		text += one.ID + " " + one.State + "\n"
	}
	return text
}

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

// dial connects as s3fs does and says something.
func (l *lab) dial(text string) net.Conn {
	l.t.Helper()
	url := regexp.MustCompile(`url=http://([^,]+)`).FindStringSubmatch(l.read("argv"))
	connection, err := net.Dial("tcp", url[1])
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { connection.Close() })
	_, _ = connection.Write([]byte(text))
	return connection
}

func TestAConnectionOfS3fsIsTakenByAccept(t *testing.T) {
	l := newLab(t)
	h := muxtest.Open(t, l.Accept, map[string]any{"id": "m1"})
	l.mounted(nil)
	connection := l.dial("GET")
	h.Until(func() bool { return h.Closed[2] && string(h.Out[1]) == "GET" })
	h.Input("200", true)
	over := finishing(h)
	answer := make([]byte, 3)
	if _, err := connection.Read(answer); err != nil || string(answer) != "200" {
		t.Fatal(err, string(answer))
	}
	connection.Close()
	if <-over; h.Code != "" {
		t.Fatal(h.Code, h.Message)
	}
}

func TestWhatS3fsHasGivenUpIsNotPassedOn(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	l.dial("PUT old").Close()
	l.dial("PUT new")
	h := muxtest.Open(t, l.Accept, map[string]any{"id": "m1"})
	h.Until(func() bool { return len(h.Out[1]) >= len("PUT new") })
	if got := string(h.Out[1]); got != "PUT new" {
		t.Fatal(got)
	}
}

func TestAcceptEndsWithItsMount(t *testing.T) {
	l := newLab(t)
	if h := l.ask("accept", map[string]any{"id": "m1"}); h.Code != "no_mount" {
		t.Fatal(h.Code)
	}
	l.mounted(nil)
	h, over := l.begin("accept", map[string]any{"id": "m1"})
	l.ask("unmount", map[string]any{"id": "m1", "deadline_ms": 60000})
	if <-over; h.Code != "no_mount" {
		t.Fatal(h.Code)
	}
}

func TestACancelledAcceptTakesNoConnection(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	h := muxtest.Open(t, l.Accept, map[string]any{"id": "m1"})
	h.Cancel()
	if h.Finish(); h.Code != "cancelled" {
		t.Fatal(h.Code)
	}
}

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
	if got := l.unmountResult(map[string]any{"id": "m1", "deadline_ms": 60000}); got != `{"how":"clean"}` {
		t.Fatal(got)
	}
}

func TestAMountingIsGivenUpForAForcedUnmount(t *testing.T) {
	l := newLab(t)
	h, over := l.begin("mount", wanted(map[string]any{"bucket": "silent"}))
	l.started()
	// The turn may come too late for one call.
	for {
		if got := l.unmountResult(map[string]any{"id": "m1", "force": true, "deadline_ms": 1000}); got == `{"how":"gone"}` {
			break
		}
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
