package process

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"createos.local/agent/internal/frame"
	"createos.local/agent/internal/launch"
	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/pty"
	"createos.local/agent/internal/reap"
)

const (
	patience             = 10 * time.Second
	prSetChildSubreaper  = 36
	unifiedForTheseTests = "createos-test"
)

var reaper *reap.Reaper

// TestMain makes this process what process 1 is to a guest: orphans become its children.
func TestMain(m *testing.M) {
	_, _, _ = syscall.Syscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
	reaper = reap.New()
	code := m.Run()
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		_ = os.Remove(filepath.Join(mount, unifiedForTheseTests))
	}
	os.Exit(code)
}

// cgroups returns a directory for cgroups, or skips the test.
func cgroups(t *testing.T) string {
	t.Helper()
	for _, mount := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		path := filepath.Join(mount, unifiedForTheseTests)
		if os.MkdirAll(path, 0o755) == nil {
			if _, err := os.Stat(filepath.Join(path, "cgroup.kill")); err == nil {
				return path
			}
			_ = os.Remove(path)
		}
	}
	t.Skip("no cgroup2 to write to")
	return ""
}

// client is a host that asks one thing after the other, each over a connection of its own: what is kept is kept by the registry.
type client struct {
	t *testing.T
	r *Registry
}

func newClient(t *testing.T, groups string) *client {
	c := &client{t, &Registry{Launcher: launch.Launcher{Reaper: reaper, Root: "/"}, Cgroups: groups}}
	t.Cleanup(func() {
		for _, p := range c.r.list() {
			p.terminate(0)
		}
	})
	return c
}

// answer is all that a stream brought.
type answer struct {
	data    []byte
	result  map[string]any
	failure struct{ Code, Message string }
}

func (a answer) view(t *testing.T) view {
	t.Helper()
	var v view
	if err := json.Unmarshal(a.data, &v); err != nil {
		t.Fatalf("%v: %q %+v", err, a.data, a.failure)
	}
	return v
}

func (c *client) open(request map[string]any, input []byte) (net.Conn, *frame.Decoder) {
	c.t.Helper()
	ours, theirs := net.Pipe()
	c.t.Cleanup(func() { ours.Close(); theirs.Close() })
	m := mux.New(theirs, c.r.Serve)
	m.SetReady([]byte(`{}`))
	go func() { _ = m.Serve(func() {}) }()
	text, _ := json.Marshal(request)
	wire := frame.Append(nil, frame.Frame{Type: frame.Reset, Payload: append([]byte(frame.ResetMarker), make([]byte, frame.NonceSize)...)})
	for len(text) > frame.MaxPayload {
		wire = frame.Append(wire, frame.Frame{Type: frame.Open, Flags: frame.More, Stream: 1, Payload: text[:frame.MaxPayload]})
		text = text[frame.MaxPayload:]
	}
	wire = frame.Append(wire, frame.Frame{Type: frame.Open, Stream: 1, Payload: text})
	for len(input) > 0 {
		n := min(len(input), 60000)
		wire = frame.Append(wire, frame.Frame{Type: frame.Data, Stream: 1, Payload: input[:n]})
		input = input[n:]
	}
	wire = frame.Append(wire, frame.Frame{Type: frame.EOF, Stream: 1})
	go func() { _, _ = ours.Write(wire) }()
	ours.SetDeadline(time.Now().Add(patience))
	return ours, &frame.Decoder{}
}

func next(t *testing.T, conn net.Conn, decoder *frame.Decoder) frame.Frame {
	t.Helper()
	for {
		if f, ok := decoder.Next(); ok {
			return f
		}
		n, err := conn.Read(decoder.Space(1 << 16))
		if err != nil {
			t.Fatal(err)
		}
		decoder.Filled(n)
	}
}

func (c *client) ask(request map[string]any, input []byte) answer {
	c.t.Helper()
	conn, decoder := c.open(request, input)
	var got answer
	for {
		f := next(c.t, conn, decoder)
		switch f.Type {
		case frame.Data:
			got.data = append(got.data, f.Payload...)
			grant := binary.BigEndian.AppendUint32(nil, uint32(len(f.Payload)))
			go func() {
				_, _ = conn.Write(frame.Append(nil, frame.Frame{Type: frame.Credit, Stream: 1, Payload: grant}))
			}()
		case frame.Exit:
			if err := json.Unmarshal(f.Payload, &got.result); err != nil {
				c.t.Fatal(err)
			}
			return got
		case frame.Error:
			_ = json.Unmarshal(f.Payload, &got.failure)
			return got
		}
	}
}

func (c *client) op(op, id string, more ...any) answer {
	c.t.Helper()
	request := map[string]any{"kind": "process", "op": op, "id": id}
	for i := 0; i < len(more); i += 2 {
		request[more[i].(string)] = more[i+1]
	}
	return c.ask(request, nil)
}

func (c *client) start(argv ...string) view {
	c.t.Helper()
	return c.op("start", "", "argv", argv, "env", []string{"PATH=/usr/bin:/bin"}).view(c.t)
}

func (c *client) startPty(argv ...string) view {
	c.t.Helper()
	return c.op("start", "", "argv", argv, "env", []string{"PATH=/usr/bin:/bin", "PS1=> "}, "pty", map[string]int{"rows": 30, "cols": 100}).view(c.t)
}

func (c *client) input(id, text string) answer {
	c.t.Helper()
	return c.ask(map[string]any{"kind": "process", "op": "input", "id": id}, []byte(text))
}

func (c *client) wait(id, scope string) view {
	c.t.Helper()
	got := c.op("wait", id, "scope", scope, "timeout_ms", 9000)
	if got.result["done"] != true {
		c.t.Fatalf("%+v %s", got.result, got.data)
	}
	return got.view(c.t)
}

// attach reads all events behind a number.
func (c *client) attach(id string, after int) ([]event, string) {
	c.t.Helper()
	got := c.op("attach", id, "after", after)
	return decode(c.t, got.data), fmt.Sprint(got.result["end"])
}

func decode(t *testing.T, data []byte) []event {
	t.Helper()
	var all []event
	for len(data) > 0 {
		n := int(binary.BigEndian.Uint32(data[9:]))
		all = append(all, event{binary.BigEndian.Uint64(data[1:]), data[0], data[recordHead : recordHead+n]})
		data = data[recordHead+n:]
	}
	return all
}

func text(events []event, source byte) string {
	var all strings.Builder
	for _, e := range events {
		if e.source == source {
			all.Write(e.data)
		}
	}
	return all.String()
}

func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: ", what)
		}
	}
}

func TestOutputIsKeptAndReplayedFromAnyNumber(t *testing.T) {
	c := newClient(t, "")
	p := c.start("sh", "-c", "echo one; echo err >&2; sleep 0.1; echo two; exit 3")
	if p.State != "running" || p.Kind != "process" || p.Pid == 0 || p.Cmd != "sh" || p.Args[0] != "-c" || p.Cwd != "/" {
		t.Fatalf("%+v", p)
	}

	events, end := c.attach(p.ProcessID, 0)

	if end != "exit" || text(events, fromStdout) != "one\ntwo\n" || text(events, fromStderr) != "err\n" || text(events, fromExit) != `{"exit_code":3}` {
		t.Fatalf("%q %s", events, end)
	}
	for i, e := range events {
		if e.seq != uint64(i+1) {
			t.Fatalf("event %d has number %d", i, e.seq)
		}
	}
	rest, _ := c.attach(p.ProcessID, 2)
	if len(rest) != len(events)-2 || rest[0].seq != 3 {
		t.Fatalf("%q", rest)
	}
	if again, end := c.attach(p.ProcessID, len(events)); len(again) != 0 || end != "over" {
		t.Fatalf("%q %s", again, end)
	}
	v := c.wait(p.ProcessID, "tree")
	if v.State != "exited" || *v.ExitCode != 3 || !v.LeaderExited || !v.TreeExited || v.FinishedMS < v.CreatedMS || v.Output.NewestSeq != uint64(len(events)) {
		t.Fatalf("%+v", v)
	}
}

func TestSeveralReadersGetTheSameAndAReaderThatStopsHoldsUpNobody(t *testing.T) {
	c := newClient(t, "")
	p := c.start("sh", "-c", "read go; head -c 900000 /dev/zero; exit 0")
	lazy, _ := c.open(map[string]any{"kind": "process", "op": "attach", "id": p.ProcessID}, nil)
	defer lazy.Close()
	results := make(chan int)
	for range 3 {
		go func() {
			events, _ := c.attach(p.ProcessID, 0)
			results <- len(text(events, fromStdout))
		}()
	}
	c.input(p.ProcessID, "go\n")
	for range 3 {
		if n := <-results; n != 900000 {
			t.Fatal(n)
		}
	}
	c.wait(p.ProcessID, "leader")
}

func TestAGigabyteOfOutputIsReadAndForgotten(t *testing.T) {
	c := newClient(t, "")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := c.start("sh", "-c", "head -c 1073741824 /dev/zero; echo end")
	v := c.wait(p.ProcessID, "leader")
	runtime.GC()
	runtime.ReadMemStats(&after)
	if v.Output.Bytes > journalBytes || after.HeapAlloc > before.HeapAlloc+4*journalBytes {
		t.Fatalf("%+v, heap %d then %d", v.Output, before.HeapAlloc, after.HeapAlloc)
	}
	if _, end := c.attach(p.ProcessID, 1); end != "expired" {
		t.Fatal(end)
	}
	events, _ := c.attach(p.ProcessID, 0)
	if got := text(events, fromStdout); !strings.HasSuffix(got, "\x00end\n") {
		t.Fatalf("%d bytes", len(got))
	}
}

func TestInputComesInOrderAndItsEndIsAnEnd(t *testing.T) {
	c := newClient(t, "")
	p := c.start("cat")
	for n := 1; n <= 20; n++ {
		if got := c.input(p.ProcessID, fmt.Sprintf("%d\n", n)); got.result["input_seq"] != float64(n) {
			t.Fatalf("%+v", got)
		}
	}
	c.op("close_stdin", p.ProcessID)
	events, _ := c.attach(p.ProcessID, 0)
	var want strings.Builder
	for n := 1; n <= 20; n++ {
		fmt.Fprintln(&want, n)
	}
	if got := text(events, fromStdout); got != want.String() {
		t.Fatalf("%q", got)
	}
	if got := c.input(p.ProcessID, "late"); got.failure.Code != "input_closed" {
		t.Fatalf("%+v", got)
	}
}

func TestInputThatNobodyReadsIsBounded(t *testing.T) {
	read, write, _ := os.Pipe()
	defer read.Close()
	in := newInput(write, true)
	cancelled := make(chan struct{})
	close(cancelled)
	if _, code := in.put(make([]byte, inputBytes+1), nil); code != "too_large" {
		t.Fatal(code)
	}
	if seq, code := in.put(make([]byte, inputBytes), nil); seq != 1 || code != "" {
		t.Fatal(seq, code)
	}
	until(t, "taken", func() bool { _, code := in.put([]byte("x"), cancelled); return code == "" })
	in.mu.Lock()
	queued := in.queued
	in.mu.Unlock()
	if queued > inputBytes {
		t.Fatal(queued)
	}
	if _, code := in.put(make([]byte, inputBytes), cancelled); code != "input_full" {
		t.Fatal(code)
	}
}

func TestATreeIsGoneWhenItsLastMemberIs(t *testing.T) {
	for name, groups := range map[string]func(*testing.T) string{"cgroup": cgroups, "sessions": func(*testing.T) string { return "" }} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, groups(t))
			p := c.start("sh", "-c", "(sleep 0.5; echo last) & echo leader")

			v := c.wait(p.ProcessID, "leader")
			if v.TreeExited || v.State != "exited" {
				t.Fatalf("%+v", v)
			}
			events, end := c.attach(p.ProcessID, 0)
			if end != "exit" || text(events, fromStdout) != "leader\n" {
				t.Fatalf("%q %s", events, end)
			}
			late, end := c.attach(p.ProcessID, int(events[len(events)-1].seq))
			if end != "over" || text(late, fromStdout) != "last\n" {
				t.Fatalf("%q %s", late, end)
			}
			if v := c.wait(p.ProcessID, "tree"); !v.TreeExited {
				t.Fatalf("%+v", v)
			}
		})
	}
}

func TestWhoDetachesAndForksAwayStillBelongsToTheTree(t *testing.T) {
	groups := cgroups(t)
	c := newClient(t, groups)
	p := c.start("sh", "-c", "setsid sh -c 'setsid sh -c \"trap : TERM HUP; echo pid \\$\\$; while :; do sleep 0.05; done\" & ' & sleep 0.2")
	v := c.wait(p.ProcessID, "leader")
	if v.TreeExited {
		t.Fatalf("%+v", v)
	}
	events, _ := c.attach(p.ProcessID, 0)
	pid, err := strconv.Atoi(strings.Fields(text(events, fromStdout))[1])
	if err != nil {
		t.Fatal(err)
	}

	got := c.op("delete", p.ProcessID, "grace_ms", 100).view(t)

	if !got.TreeExited || got.State != "exited" || syscall.Kill(pid, 0) != syscall.ESRCH {
		t.Fatalf("%+v", got)
	}
	if left, _ := os.ReadDir(filepath.Join(groups, p.ProcessID)); len(left) > 0 {
		t.Fatal("the cgroup is left behind")
	}
	if again := c.op("delete", p.ProcessID, "grace_ms", 0).view(t); again.State != "exited" {
		t.Fatalf("%+v", again)
	}
}

func TestDeleteAsksBeforeItKills(t *testing.T) {
	c := newClient(t, "")
	polite := c.start("sh", "-c", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done")
	until(t, "ready", func() bool { return c.op("get", polite.ProcessID).view(t).Output.NewestSeq > 0 })
	if v := c.op("delete", polite.ProcessID, "grace_ms", 8000).view(t); *v.ExitCode != 0 || !v.TreeExited {
		t.Fatalf("%+v", v)
	}
	stubborn := c.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done")
	until(t, "ready", func() bool { return c.op("get", stubborn.ProcessID).view(t).Output.NewestSeq > 0 })
	if v := c.op("delete", stubborn.ProcessID, "grace_ms", 50).view(t); v.Signal != "SIGKILL" || *v.ExitCode != 137 {
		t.Fatalf("%+v", v)
	}
}

func TestATerminalIsResizedSignalledAndTellsItsForeground(t *testing.T) {
	c := newClient(t, "")
	p := c.startPty("sh", "-i")
	if p.Kind != "pty" {
		t.Fatalf("%+v", p)
	}
	shows := func(want string) {
		t.Helper()
		until(t, want, func() bool {
			return strings.Contains(text(c.r.find(p.ProcessID).journal.after(c.r.find(p.ProcessID).journal.start(), 1<<20).events, fromPty), want)
		})
	}
	shows("> ")
	c.op("resize", p.ProcessID, "size", pty.Size{Rows: 55, Cols: 140})
	c.input(p.ProcessID, "stty size\n")
	shows("55 140")
	c.input(p.ProcessID, "sleep 1000\n")
	until(t, "foreground", func() bool {
		f := c.op("get", p.ProcessID).view(t).Foreground
		return f != nil && f.Cmd == "sleep" && f.Args[0] == "1000" && f.Pid != p.Pid
	})
	c.op("signal", p.ProcessID, "signal", "SIGINT")
	c.input(p.ProcessID, "echo back $((40+2)); exit 4\n")
	shows("back 42")
	if v := c.wait(p.ProcessID, "tree"); *v.ExitCode != 4 {
		t.Fatalf("%+v", v)
	}
	for op, code := range map[string]string{"close_stdin": "wrong_kind", "resize": "ended", "signal": "ended"} {
		if got := c.op(op, p.ProcessID, "signal", "SIGINT"); got.failure.Code != code {
			t.Errorf("%s: %+v", op, got)
		}
	}
}

func TestSignalsReachTheGroup(t *testing.T) {
	c := newClient(t, "")
	p := c.start("sh", "-c", "trap 'echo hup' HUP; (trap 'echo child' HUP; while :; do sleep 0.02; done) & echo ready; while :; do sleep 0.02; done")
	until(t, "ready", func() bool { return c.op("get", p.ProcessID).view(t).Output.NewestSeq > 0 })
	time.Sleep(100 * time.Millisecond)
	c.op("signal", p.ProcessID, "signal", "SIGHUP")
	until(t, "both", func() bool { return c.op("get", p.ProcessID).view(t).Output.NewestSeq > 2 })
	if got := c.op("signal", p.ProcessID, "signal", "SIGNOTHING"); got.failure.Code != "bad_request" {
		t.Fatalf("%+v", got)
	}
	if got := c.op("resize", p.ProcessID); got.failure.Code != "wrong_kind" {
		t.Fatalf("%+v", got)
	}
}

func TestAWaitEndsInTime(t *testing.T) {
	c := newClient(t, "")
	p := c.start("sleep", "1000")
	if got := c.op("wait", p.ProcessID, "timeout_ms", 20); got.result["done"] != false {
		t.Fatalf("%+v", got)
	}
}

func TestWhatCannotBeStartedOrIsUnknownSaysWhy(t *testing.T) {
	c := newClient(t, "")
	for code, request := range map[string][]any{
		"not_found":   {"argv", []string{"no-such-program"}},
		"bad_cwd":     {"argv", []string{"true"}, "cwd", "/no/such/directory", "strict_cwd", true},
		"bad_request": {"argv", []string{}},
		"bad_user":    {"argv", []string{"true"}, "user", "nobody-at-all"},
	} {
		if got := c.op("start", "", request...); got.failure.Code != code {
			t.Errorf("%s: %+v", code, got)
		}
	}
	if got := c.op("get", "proc-0"); got.failure.Code != "no_process" {
		t.Errorf("%+v", got)
	}
	if got := c.op("dance", "proc-0"); got.failure.Code != "bad_request" {
		t.Errorf("%+v", got)
	}
	if len(c.r.list()) != 0 {
		t.Error("a process that was never started is kept")
	}
}

func TestTenThousandArgumentsArriveAndAreDescribedInBounds(t *testing.T) {
	c := newClient(t, "")
	argv := []string{"sh", "-c", "echo $#", "sh"}
	for n := range 10_000 {
		argv = append(argv, fmt.Sprintf("argument number %d", n))
	}
	p := c.start(argv...)
	events, _ := c.attach(p.ProcessID, 0)
	if text(events, fromStdout) != "10000\n" {
		t.Fatalf("%q", events)
	}
	if last := p.Args[len(p.Args)-1]; !strings.HasSuffix(last, " more") || len(p.Args) > 5000 {
		t.Fatalf("%d arguments, the last %q", len(p.Args), last)
	}
}

func TestTheNewestOfTheEndedAreKept(t *testing.T) {
	c := newClient(t, "")
	var first string
	for n := range maxFinished + 5 {
		p := c.start("true")
		if n == 0 {
			first = p.ProcessID
		}
		c.wait(p.ProcessID, "tree")
	}
	until(t, "retired", func() bool { return len(c.r.list()) == maxFinished })
	if got := c.op("get", first); got.failure.Code != "no_process" {
		t.Fatalf("%+v", got)
	}
	lines := strings.Count(string(c.op("list", "").data), "\n")
	if lines != maxFinished {
		t.Fatal(lines)
	}
}
