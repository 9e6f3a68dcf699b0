// Package execute runs the programs of `exec` streams.
package execute

import (
	"encoding/json"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/reap"
)

const (
	stdout, stderr = 1, 2
	chunk          = 32 << 10
)

// Request is the JSON of an `exec` stream.
type Request struct {
	Argv  []string `json:"argv"`
	Env   []string `json:"env"`
	Cwd   string   `json:"cwd"`
	User  string   `json:"user"`
	Stdin bool     `json:"stdin"`
}

// Result is how a program ended; ElapsedMS is the agent's own time from the request to the end.
type Result struct {
	ExitCode  int     `json:"exit_code"`
	Signal    string  `json:"signal,omitempty"`
	ElapsedMS float64 `json:"elapsed_ms"`
}

// Executor runs programs below Root, which is "/" in a guest.
type Executor struct {
	Reaper *reap.Reaper
	Root   string
}

// Serve handles one `exec` stream.
func (e *Executor) Serve(stream *mux.Stream) {
	begun := time.Now()
	var request Request
	if err := json.Unmarshal(stream.Request, &request); err != nil || len(request.Argv) == 0 || request.Argv[0] == "" {
		stream.Fail("bad_request", "exec needs argv")
		return
	}
	running, err := e.start(&request)
	if err != nil {
		stream.Fail(err.code, err.message)
		return
	}
	status, cancelled := running.relay(stream, request.Stdin)
	if cancelled {
		status = syscall.WaitStatus(syscall.SIGKILL)
	}
	stream.Finish(describe(status, begun))
}

// process is a running program and our ends of its pipes.
type process struct {
	pid    int
	exited <-chan syscall.WaitStatus
	stdin  *os.File
	out    [2]*os.File
}

// relay moves bytes until the program has ended and its output is closed, or the stream is cancelled.
func (p *process) relay(stream *mux.Stream, hasStdin bool) (syscall.WaitStatus, bool) {
	defer p.close()
	if hasStdin {
		go p.feed(stream)
	}
	drained := make(chan struct{})
	var pumps sync.WaitGroup
	pumps.Add(len(p.out))
	for i, pipe := range p.out {
		go func(sub byte, pipe *os.File) {
			defer pumps.Done()
			pump(stream, sub, pipe)
		}(byte(stdout+i), pipe)
	}
	go func() {
		pumps.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-stream.Cancelled:
		p.kill()
		return 0, true
	}
	select {
	case status := <-p.exited:
		return status, false
	case <-stream.Cancelled:
		p.kill()
		return 0, true
	}
}

// kill ends the program and everything in its process group.
func (p *process) kill() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }

func (p *process) close() {
	for _, file := range append(p.out[:], p.stdin) {
		if file != nil {
			_ = file.Close()
		}
	}
}

// feed writes the stream's input. When the program no longer reads, the rest is dropped but still acknowledged.
func (p *process) feed(stream *mux.Stream) {
	broken := false
	for {
		data, more := stream.Receive()
		if !more {
			_ = p.stdin.Close()
			return
		}
		if !broken {
			_, err := p.stdin.Write(data)
			broken = err != nil
		}
	}
}

func pump(stream *mux.Stream, sub byte, pipe *os.File) {
	buffer := make([]byte, chunk)
	for {
		n, err := pipe.Read(buffer)
		if n > 0 && !stream.Send(sub, buffer[:n]) {
			return
		}
		if err != nil {
			stream.SendEOF(sub)
			return
		}
	}
}

func describe(status syscall.WaitStatus, begun time.Time) Result {
	result := Result{ExitCode: status.ExitStatus(), ElapsedMS: float64(time.Since(begun).Microseconds()) / 1000}
	if status.Signaled() {
		result.ExitCode = 128 + int(status.Signal())
		result.Signal = signalName(status.Signal())
	}
	return result
}

// failure is why a program could not be started, in the words of PROTOCOL.md.
type failure struct{ code, message string }

func explain(what string, err error) *failure {
	code := "failed"
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		code = "not_found"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.EISDIR):
		code = "not_executable"
	case errors.Is(err, syscall.E2BIG):
		code = "too_large"
	}
	reason := err.Error()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		reason = errno.Error()
	}
	return &failure{code, what + ": " + reason}
}
