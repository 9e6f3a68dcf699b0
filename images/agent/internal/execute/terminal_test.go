package execute

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"createos.local/agent/internal/frame"
	"createos.local/agent/internal/launch"
	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/pty"
)

// talk is a conversation with a program on a terminal.
type talk struct {
	t       *testing.T
	conn    net.Conn
	decoder frame.Decoder
	seen    string
	end     *frame.Frame
	out     chan []byte
}

func begin(t *testing.T, request launch.Spec) *talk {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	m := mux.New(theirs, (&Executor{launch.Launcher{Reaper: reaper, Root: "/"}}).Serve)
	m.SetReady([]byte(`{}`))
	go func() { _ = m.Serve(func() {}) }()
	text, _ := json.Marshal(request)
	talk := &talk{t: t, conn: ours, out: make(chan []byte, 1000)}
	t.Cleanup(func() { close(talk.out) })
	go func() {
		for wire := range talk.out {
			_, _ = ours.Write(wire)
		}
	}()
	talk.send(frame.Frame{Type: frame.Reset, Payload: append([]byte(frame.ResetMarker), make([]byte, frame.NonceSize)...)})
	talk.send(frame.Frame{Type: frame.Open, Stream: 1, Payload: text})
	return talk
}

func terminal(argv ...string) launch.Spec {
	return launch.Spec{Argv: argv, Pty: &launch.Terminal{Size: pty.Size{Rows: 30, Cols: 100}}, Env: []string{"PS1=> ", "PATH=/usr/bin:/bin"}}
}

func (c *talk) send(f frame.Frame) {
	c.out <- frame.Append(nil, f)
}

func (c *talk) typeIn(text string) {
	c.send(frame.Frame{Type: frame.Data, Stream: 1, Payload: []byte(text)})
}

func (c *talk) control(message string) {
	c.send(frame.Frame{Type: frame.Data, Flags: mux.Control, Stream: 1, Payload: []byte(message)})
}

// until reads until the terminal shows a text, or to the end when it is empty.
func (c *talk) until(text string) string {
	c.t.Helper()
	c.conn.SetDeadline(time.Now().Add(60 * time.Second))
	for {
		if at := strings.Index(c.seen, text); text != "" && at >= 0 {
			before := c.seen[:at+len(text)]
			c.seen = c.seen[at+len(text):]
			return before
		}
		f, ok := c.decoder.Next()
		if !ok {
			n, err := c.conn.Read(c.decoder.Space(1 << 16))
			if err != nil {
				c.t.Fatalf("%v; the terminal shows %q", err, c.seen)
			}
			c.decoder.Filled(n)
			continue
		}
		switch f.Type {
		case frame.Data:
			if f.Flags != stdout {
				c.t.Fatalf("output on sub-channel %d", f.Flags)
			}
			c.seen += string(f.Payload)
			n := len(f.Payload)
			c.send(frame.Frame{Type: frame.Credit, Stream: 1, Payload: []byte{0, byte(n >> 16), byte(n >> 8), byte(n)}})
		case frame.Exit, frame.Error:
			f.Payload = bytes.Clone(f.Payload)
			c.end = &f
			if text != "" {
				c.t.Fatalf("%s before %q was shown; the terminal shows %q", f.Payload, text, c.seen)
			}
			return c.seen
		}
	}
}

func (c *talk) result() Result {
	c.t.Helper()
	c.until("")
	var result Result
	if err := json.Unmarshal(c.end.Payload, &result); err != nil || c.end.Type != frame.Exit {
		c.t.Fatalf("%s", c.end.Payload)
	}
	return result
}

func TestATerminalHasTheSizeAndTypeThatWereAskedFor(t *testing.T) {
	c := begin(t, terminal("/bin/sh", "-c", "stty size; echo $TERM; tty"))
	shown := c.until("")
	if !strings.HasPrefix(shown, "30 100\r\nxterm-256color\r\n/dev/pts/") {
		t.Fatalf("%q", shown)
	}
}

func TestAResizeReachesTheProgram(t *testing.T) {
	c := begin(t, terminal("/bin/sh", "-c", `trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done`))
	c.until("ready")
	c.control(`{"resize":{"rows":50,"cols":132}}`)
	c.until("50 132")
	if got := c.result(); got.ExitCode != 0 {
		t.Fatalf("%+v", got)
	}
}

func TestCtrlCReachesTheForegroundAndNotTheShell(t *testing.T) {
	c := begin(t, terminal("/bin/sh", "-i"))
	c.until("> ")
	c.typeIn("sh -c 'echo in $((1+1)); exec sleep 1000'\n")
	c.until("in 2")
	c.typeIn("\x03")
	c.until("> ")
	c.typeIn("echo still $((6*7)); exit 3\n")
	c.until("still 42")
	if got := c.result(); got.ExitCode != 3 {
		t.Fatalf("%+v", got)
	}
}

func TestASignalGoesToTheForeground(t *testing.T) {
	c := begin(t, terminal("/bin/sh", "-i"))
	c.until("> ")
	c.typeIn("sh -c 'echo in $((1+1)); exec sleep 1000'; echo code $?\n")
	c.until("in 2")
	c.control(`{"signal":"SIGTERM"}`)
	c.until("code 143")
	c.typeIn("exit\n")
	c.result()
}

func TestNothingOfTheOutputIsLostAtTheEnd(t *testing.T) {
	c := begin(t, terminal("/bin/sh", "-c", "stty raw; head -c 1000000 /dev/zero | tr '\\0' x; printf end"))
	shown := c.until("")
	if len(shown) != 1_000_003 || !strings.HasSuffix(shown, "xend") {
		t.Fatalf("%d bytes", len(shown))
	}
}

func TestTheEndOfInputIsTyped(t *testing.T) {
	c := begin(t, terminal("cat"))
	c.typeIn("line\n")
	c.until("line\r\nline\r\n")
	c.send(frame.Frame{Type: frame.EOF, Stream: 1})
	if got := c.result(); got.ExitCode != 0 {
		t.Fatalf("%+v", got)
	}
}

func TestAShellThatEndsIsTheEndWhateverRunsInTheBackground(t *testing.T) {
	c := begin(t, terminal("/bin/sh", "-c", "trap '' HUP; sleep 1000 & echo pid $!."))
	c.until("pid ")
	pid, _ := strconv.Atoi(strings.TrimSuffix(c.until("."), "."))
	defer syscall.Kill(pid, syscall.SIGKILL)
	c.result()
}

func TestACancelledTerminalIsHungUpAndWhatStaysIsKilled(t *testing.T) {
	for name, script := range map[string]string{
		"polite":   "echo pid $$.; while :; do sleep 0.05; done",
		"stubborn": "trap '' HUP TERM INT; echo pid $$.; while :; do sleep 0.05; done",
	} {
		c := begin(t, terminal("/bin/sh", "-c", script))
		c.until("pid ")
		pid, _ := strconv.Atoi(strings.TrimSuffix(c.until("."), "."))
		c.send(frame.Frame{Type: frame.Cancel, Stream: 1})
		if got := c.result(); got.ExitCode != 137 {
			t.Fatalf("%s: %+v", name, got)
		}
		awaitGone(t, pid)
	}
}

func TestALoginShellIsFoundOrMissed(t *testing.T) {
	c := begin(t, launch.Spec{Shell: true, Pty: &launch.Terminal{}, Env: []string{"HOME=/nowhere"}})
	c.typeIn("echo $0 $SHELL; exit\n")
	c.until("-")
	c.result()

	root := t.TempDir()
	empty := launch.Launcher{Reaper: reaper, Root: root}
	if _, failed := empty.Start(&launch.Spec{Shell: true}, nil); failed == nil || failed.Code != "no_shell" {
		t.Fatalf("%+v", failed)
	}
	os.MkdirAll(filepath.Join(root, "bin"), 0o755)
	os.WriteFile(filepath.Join(root, "bin/sh"), []byte("x"), 0o755)
	if child, failed := empty.Start(&launch.Spec{Shell: true, Argv: []string{"exit 0"}}, nil); failed != nil || child.Argv[1] != "-c" {
		t.Fatalf("%+v", failed)
	}
}

func TestALineForTheShellNeedsNoTerminal(t *testing.T) {
	if got := run(t, launch.Spec{Shell: true, Argv: []string{"echo $((40+2)) && false"}}, ""); got.out != "42\n" || got.result.ExitCode != 1 {
		t.Fatalf("%+v", got)
	}
}

func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d goes on", pid)
		}
	}
}
