// Package execute runs the programs of `exec` streams.
package execute

import (
	"encoding/json"
	"os"
	"sync"
	"syscall"
	"time"

	"createos.local/agent/internal/launch"
	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/pty"
)

const (
	stdout, stderr = 1, 2
	chunk          = 32 << 10
)

// Result is how a program ended; ElapsedMS is the agent's own time from the request to the end.
type Result struct {
	ExitCode  int     `json:"exit_code"`
	Signal    string  `json:"signal,omitempty"`
	ElapsedMS float64 `json:"elapsed_ms"`
}

// Executor runs programs for as long as the host stays.
type Executor struct{ launch.Launcher }

// Serve handles one `exec` stream.
func (e *Executor) Serve(stream *mux.Stream) {
	begun := time.Now()
	var request launch.Spec
	if err := json.Unmarshal(stream.Request, &request); err != nil {
		stream.Fail("bad_request", "exec is malformed: "+err.Error())
		return
	}
	e.run(stream, &request, begun)
}

// ServeSelf runs this program's own file with a flag and the stream as its input, as the user and with the environment
// and directory that the request names: whatever else it says, the request can't choose the program.
//
// A thread can't become another user while the others stay, and what hangs or dies must not be process 1. The file is
// reached through /proc: the initramfs it lies in has no path any more.
func (e *Executor) ServeSelf(stream *mux.Stream, flag string) {
	begun := time.Now()
	var request launch.Spec
	if err := json.Unmarshal(stream.Request, &request); err != nil {
		stream.Fail("bad_request", "the request is malformed: "+err.Error())
		return
	}
	argv := []string{"/proc/self/exe", flag}
	e.run(stream, &launch.Spec{Argv: argv, Env: request.Env, Cwd: request.Cwd, User: request.User, Stdin: true}, begun)
}

func (e *Executor) run(stream *mux.Stream, request *launch.Spec, begun time.Time) {
	child, failed := e.Start(request, nil)
	if failed != nil {
		stream.Fail(failed.Code, failed.Message)
		return
	}
	running := &process{child}
	stream.OnControl(running.control)
	var status syscall.WaitStatus
	cancelled := false
	if child.Pty.File != nil {
		status, cancelled = running.converse(stream)
	} else {
		status, cancelled = running.relay(stream, request.Stdin)
	}
	if cancelled {
		status = syscall.WaitStatus(syscall.SIGKILL)
	}
	code, signal := launch.Ending(status)
	stream.Finish(Result{code, signal, float64(time.Since(begun).Microseconds()) / 1000})
}

type process struct{ *launch.Child }

// control does what a message of sub-channel 3 asks for; what cannot be done or understood is left.
func (p *process) control(message []byte) {
	var wanted struct {
		Resize *pty.Size `json:"resize"`
		Signal string    `json:"signal"`
	}
	if json.Unmarshal(message, &wanted) != nil {
		return
	}
	if wanted.Resize != nil && p.Pty.File != nil {
		_ = p.Pty.Resize(wanted.Resize.OrDefault())
	}
	if number, ok := launch.SignalNumber(wanted.Signal); ok {
		_ = p.Signal(number)
	}
}

// relay moves bytes until the program has ended and its output is closed, or the stream is cancelled.
func (p *process) relay(stream *mux.Stream, hasStdin bool) (syscall.WaitStatus, bool) {
	defer p.Close()
	if hasStdin {
		go p.feed(stream)
	}
	drained := make(chan struct{})
	var pumps sync.WaitGroup
	pumps.Add(len(p.Out))
	for i, pipe := range p.Out {
		go func(sub byte, pipe *os.File) {
			defer pumps.Done()
			pump(stream, sub, pipe)
			stream.SendEOF(sub)
		}(byte(stdout+i), pipe)
	}
	go func() {
		pumps.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-stream.Cancelled:
		p.Kill()
		return 0, true
	}
	select {
	case status := <-p.Exited:
		return status, false
	case <-stream.Cancelled:
		p.Kill()
		return 0, true
	}
}

// feed writes the stream's input. When the program no longer reads, the rest is dropped but still acknowledged.
func (p *process) feed(stream *mux.Stream) {
	broken := false
	for {
		data, more := stream.Receive()
		if !more {
			_ = p.Stdin.Close()
			return
		}
		if !broken {
			_, err := p.Stdin.Write(data)
			broken = err != nil
		}
	}
}

// pump sends what comes until it ends or the host no longer wants it.
func pump(stream *mux.Stream, sub byte, from *os.File) {
	buffer := make([]byte, chunk)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !stream.Send(sub, buffer[:n]) {
			return
		}
		if err != nil {
			return
		}
	}
}
