package process

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"createos.local/agent/internal/frame"
	"createos.local/agent/internal/launch"
	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/reap"
)

const (
	patience             = 60 * time.Second
	prSetChildSubreaper  = 36
	unifiedForTheseTests = "createos-test"
)

var reaper *reap.Reaper

// TestMain makes this process what process 1 is to a guest: orphans become its children.
func TestMain(m *testing.M) {
	_, _, _ = syscall.Syscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
	// What is ignored here, as under nohup, would be ignored by shells too; what is caught is theirs to decide.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
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
	got := c.op("wait", id, "scope", scope, "timeout_ms", 50000)
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

// shows waits until a process has written all of these texts, in whatever order and pieces.
func (c *client) shows(id string, source byte, texts ...string) {
	c.t.Helper()
	j := c.r.find(id).journal
	for _, wanted := range texts {
		until(c.t, wanted, func() bool {
			return strings.Contains(text(j.after(j.start(), journalBytes).events, source), wanted)
		})
	}
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
