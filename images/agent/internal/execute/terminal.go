package execute

import (
	"syscall"
	"time"

	"createos.local/agent/internal/mux"
)

const (
	// hangUpGrace is how long programs may take to end when their terminal goes away.
	hangUpGrace = time.Second
	// heldOutput bounds what a terminal may still hold when its program has ended; the kernel keeps less.
	heldOutput = 1 << 20
	// endOfInput is what a terminal takes as end-of-file in its usual mode (Ctrl-D).
	endOfInput = 4
)

// converse moves bytes between the stream and the terminal until the program that leads the session has ended.
func (p *process) converse(stream *mux.Stream) (syscall.WaitStatus, bool) {
	defer p.Close()
	go p.typeIn(stream)
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		pump(stream, stdout, p.Pty.File)
	}()
	select {
	case status := <-p.Exited:
		// The reader is woken and waited for, so that what it has goes out before the rest.
		_ = p.Pty.SetReadDeadline(time.Unix(1, 0))
		<-pumped
		stream.Send(stdout, p.Pty.Drain(heldOutput))
		stream.SendEOF(stdout)
		return status, false
	case <-stream.Cancelled:
		p.hangUp()
		return 0, true
	}
}

// typeIn writes the stream's input; its end is typed as one.
func (p *process) typeIn(stream *mux.Stream) {
	broken := false
	for {
		data, more := stream.Receive()
		if !more {
			data = []byte{endOfInput}
		}
		if !broken {
			_, err := p.Pty.Write(data)
			broken = err != nil
		}
		if !more {
			return
		}
	}
}

// hangUp takes the terminal away, of which programs are told with SIGHUP, and kills a session that stays all the same.
func (p *process) hangUp() {
	foreground := p.Pty.Foreground()
	p.Close()
	select {
	case <-p.Exited:
		return
	case <-time.After(hangUpGrace):
	}
	if foreground > 0 {
		_ = syscall.Kill(-foreground, syscall.SIGKILL)
	}
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
}
