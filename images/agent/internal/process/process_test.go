package process

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

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
			gate := filepath.Join(t.TempDir(), "gate")
			if err := syscall.Mkfifo(gate, 0o600); err != nil {
				t.Fatal(err)
			}
			p := c.start("sh", "-c", "(read go <$0; echo last) & echo leader", gate)

			v := c.wait(p.ProcessID, "leader")
			if v.TreeExited || v.State != "exited" {
				t.Fatalf("%+v", v)
			}
			events, end := c.attach(p.ProcessID, 0)
			if end != "exit" || text(events, fromStdout) != "leader\n" {
				t.Fatalf("%q %s", events, end)
			}
			if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
				t.Fatal(err)
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
	p := c.start("sh", "-c", "setsid sh -c 'setsid sh -c \"trap : TERM HUP; echo pid \\$\\$; while :; do sleep 0.05; done\" & ' & read go")
	c.shows(p.ProcessID, fromStdout, "\n")
	c.input(p.ProcessID, "go\n")
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
	c.shows(polite.ProcessID, fromStdout, "ready\n")
	if v := c.op("delete", polite.ProcessID, "grace_ms", 50000).view(t); *v.ExitCode != 0 || !v.TreeExited {
		t.Fatalf("%+v", v)
	}
	stubborn := c.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done")
	c.shows(stubborn.ProcessID, fromStdout, "ready\n")
	if v := c.op("delete", stubborn.ProcessID, "grace_ms", 50).view(t); v.Signal != "SIGKILL" || *v.ExitCode != 137 {
		t.Fatalf("%+v", v)
	}
}
