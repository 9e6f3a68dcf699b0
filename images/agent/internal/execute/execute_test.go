package execute

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"createos.local/agent/internal/frame"
	"createos.local/agent/internal/launch"
	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/reap"
)

var reaper = reap.New()

// outcome is everything a stream brought.
type outcome struct {
	out, err string
	result   Result
	failure  struct{ Code, Message string }
}

// run executes one request over a real mux, with input when there is any.
func run(t *testing.T, request launch.Spec, input string) outcome {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	m := mux.New(theirs, (&Executor{launch.Launcher{Reaper: reaper, Root: "/"}}).Serve)
	m.SetReady([]byte(`{}`))
	go func() { _ = m.Serve(func() {}) }()
	text, _ := json.Marshal(request)
	wire := frame.Append(nil, frame.Frame{Type: frame.Reset, Payload: append([]byte(frame.ResetMarker), make([]byte, frame.NonceSize)...)})
	wire = frame.Append(wire, frame.Frame{Type: frame.Open, Stream: 1, Payload: text})
	if request.Stdin {
		if input != "" {
			wire = frame.Append(wire, frame.Frame{Type: frame.Data, Stream: 1, Payload: []byte(input)})
		}
		wire = frame.Append(wire, frame.Frame{Type: frame.EOF, Stream: 1})
	}
	go func() { _, _ = ours.Write(wire) }()
	return collect(t, ours)
}

func collect(t *testing.T, conn net.Conn) outcome {
	t.Helper()
	var got outcome
	var decoder frame.Decoder
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	for {
		f, ok := decoder.Next()
		if !ok {
			n, err := conn.Read(decoder.Space(1 << 16))
			if err != nil {
				t.Fatal(err)
			}
			decoder.Filled(n)
			continue
		}
		switch f.Type {
		case frame.Data:
			if f.Flags == stdout {
				got.out += string(f.Payload)
			} else {
				got.err += string(f.Payload)
			}
		case frame.Exit:
			if err := json.Unmarshal(f.Payload, &got.result); err != nil {
				t.Fatal(err)
			}
			return got
		case frame.Error:
			if err := json.Unmarshal(f.Payload, &got.failure); err != nil {
				t.Fatal(err)
			}
			return got
		}
	}
}

func shell(line string) launch.Spec { return launch.Spec{Argv: []string{"/bin/sh", "-c", line}} }

func TestOutputAndExitCodeComeApart(t *testing.T) {
	got := run(t, shell("echo out; echo err >&2; exit 3"), "")
	if got.out != "out\n" || got.err != "err\n" || got.result.ExitCode != 3 || got.result.Signal != "" {
		t.Fatalf("%+v", got)
	}
}

func TestASignalIs128AndItsNumber(t *testing.T) {
	got := run(t, shell("kill -TERM $$"), "")
	if got.result.ExitCode != 143 || got.result.Signal != "SIGTERM" {
		t.Fatalf("%+v", got)
	}
}

func TestStdinReachesTheProgramOrIsEmpty(t *testing.T) {
	with := launch.Spec{Argv: []string{"cat"}, Stdin: true}
	if got := run(t, with, "hello"); got.out != "hello" {
		t.Fatalf("%+v", got)
	}
	if got := run(t, launch.Spec{Argv: []string{"cat"}}, ""); got.out != "" || got.result.ExitCode != 0 {
		t.Fatalf("%+v", got)
	}
}

func TestAProgramThatDoesNotReadItsInputEndsAllTheSame(t *testing.T) {
	got := run(t, launch.Spec{Argv: []string{"true"}, Stdin: true}, strings.Repeat("x", 60000))
	if got.result.ExitCode != 0 {
		t.Fatalf("%+v", got)
	}
}

func TestTheEndIsWhenTheOutputIsClosedByAll(t *testing.T) {
	got := run(t, shell("(sleep 0.2; echo late) & echo early"), "")
	if got.out != "early\nlate\n" {
		t.Fatalf("%+v", got)
	}
}

func TestEnvironmentIsTheRequestAndWhatIsMissing(t *testing.T) {
	request := shell(`echo "$A|$HOME|$PATH|$USER"`)
	request.Env = []string{"A=1", "HOME=/elsewhere", "PATH=/usr/bin:/bin"}
	if got := run(t, request, ""); got.out != "1|/elsewhere|/usr/bin:/bin|root\n" {
		t.Fatalf("%+v", got)
	}
}

func TestAWorkingDirectoryIsMade(t *testing.T) {
	request := shell("pwd")
	request.Cwd = filepath.Join(t.TempDir(), "new", "place")
	if got := run(t, request, ""); strings.TrimSpace(got.out) != request.Cwd {
		t.Fatalf("%+v", got)
	}
}

func TestWhatCannotBeStartedSaysWhy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plain")
	os.WriteFile(file, []byte("text"), 0o644)
	notElf := filepath.Join(t.TempDir(), "noise")
	os.WriteFile(notElf, []byte{1, 2, 3}, 0o755)
	for code, request := range map[string]launch.Spec{
		"not_found":      {Argv: []string{"/no/such/program"}},
		"not_executable": {Argv: []string{file}},
		"bad_user":       {Argv: []string{"true"}, User: "nobody-at-all"},
		"bad_cwd":        {Argv: []string{"true"}, Cwd: file + "/below"},
		"bad_request":    {},
	} {
		if got := run(t, request, ""); got.failure.Code != code || got.failure.Message == "" {
			t.Errorf("%s: %+v", code, got)
		}
	}
	for _, program := range []string{"/etc", notElf} {
		if got := run(t, launch.Spec{Argv: []string{program}}, ""); got.failure.Code != "not_executable" {
			t.Errorf("%s: %+v", program, got)
		}
	}
	if got := run(t, launch.Spec{Argv: []string{"nowhere-in-path"}}, ""); got.failure.Code != "not_found" {
		t.Errorf("%+v", got)
	}
}

func TestAProgramRunsAsItsUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	request := shell("id -u; id -g")
	request.User = "65534:12"
	if got := run(t, request, ""); got.out != "65534\n12\n" {
		t.Fatalf("%+v", got)
	}
}

func TestManyAtOnceLoseNoStatusAndNoDescriptor(t *testing.T) {
	run(t, shell("exit 0"), "")
	before := descriptors(t)
	var all sync.WaitGroup
	for n := range 100 {
		all.Add(1)
		go func() {
			defer all.Done()
			if got := run(t, shell(fmt.Sprintf("exit %d", n)), ""); got.result.ExitCode != n {
				t.Errorf("%d: %+v", n, got)
			}
		}()
	}
	all.Wait()
	for end := time.Now().Add(60 * time.Second); descriptors(t) > before+4; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors before, %d after", before, descriptors(t))
		}
	}
}

func TestACancelledProgramIsKilledWithItsGroup(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	m := mux.New(theirs, (&Executor{launch.Launcher{Reaper: reaper, Root: "/"}}).Serve)
	m.SetReady([]byte(`{}`))
	go func() { _ = m.Serve(func() {}) }()
	text, _ := json.Marshal(shell("sleep 1000 & echo $!; wait"))
	wire := frame.Append(nil, frame.Frame{Type: frame.Reset, Payload: append([]byte(frame.ResetMarker), make([]byte, frame.NonceSize)...)})
	go func() { _, _ = ours.Write(frame.Append(wire, frame.Frame{Type: frame.Open, Stream: 1, Payload: text})) }()
	pid := awaitOutput(t, ours)
	go func() { _, _ = ours.Write(frame.Append(nil, frame.Frame{Type: frame.Cancel, Stream: 1})) }()

	got := collect(t, ours)

	if got.result.ExitCode != 137 {
		t.Fatalf("%+v", got)
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		state, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || bytes.Contains(state, []byte(") Z ")) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the child goes on")
		}
	}
}

func awaitOutput(t *testing.T, conn net.Conn) string {
	t.Helper()
	var decoder frame.Decoder
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	for {
		f, ok := decoder.Next()
		if ok && f.Type == frame.Data {
			return strings.TrimSpace(string(f.Payload))
		}
		if ok {
			continue
		}
		n, err := conn.Read(decoder.Space(64))
		if err != nil {
			t.Fatal(err)
		}
		decoder.Filled(n)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
