package mounts

import (
	"encoding/json"
	"fmt"
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
		Mount:   l.mountCall,
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

// mountCall does to the mountinfo what the system call does to the tree, for covers.
func (l *lab) mountCall(source, target, kind string, flags uintptr, data string) error {
	if kind != coverKind {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	options := "rw"
	if flags&syscall.MS_RDONLY != 0 {
		options = "ro"
	}
	line := fmt.Sprintf("35 1 0:44 / %s %s - %s %s %s\n", strings.TrimPrefix(target, l.root), options, kind, source, data)
	l.write("proc/self/mountinfo", l.read("proc/self/mountinfo")+line)
	return nil
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
	text := l.read("proc/self/mountinfo")
	line := regexp.MustCompile(`(?m)^.* ` + regexp.QuoteMeta(strings.TrimPrefix(target, l.root)) + ` .*\n`)
	found := line.FindAllStringIndex(text, -1)
	if len(found) == 0 {
		return syscall.EINVAL
	}
	uppermost := found[len(found)-1]
	l.write("proc/self/mountinfo", text[:uppermost[0]]+text[uppermost[1]:])
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
