package process

import (
	"fmt"
	"strings"
	"testing"

	"createos.local/agent/internal/pty"
)

func TestATerminalIsResizedSignalledAndTellsItsForeground(t *testing.T) {
	c := newClient(t, "")
	p := c.startPty("sh", "-i")
	if p.Kind != "pty" {
		t.Fatalf("%+v", p)
	}
	shows := func(want string) {
		t.Helper()
		c.shows(p.ProcessID, fromPty, want)
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
	p := c.start("sh", "-c", "trap 'echo hup' HUP; (trap 'echo child' HUP; echo here; while :; do sleep 0.02; done) & echo ready; while :; do sleep 0.02; done")
	c.shows(p.ProcessID, fromStdout, "ready\n", "here\n")
	c.op("signal", p.ProcessID, "signal", "SIGHUP")
	c.shows(p.ProcessID, fromStdout, "hup\n", "child\n")
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
