// Package dial connects a stream to a TCP port that somebody in the guest listens on.
package dial

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"createos.local/agent/internal/frame"
	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/nonblock"
	"createos.local/agent/internal/vector"
)

const (
	output, head = 1, 2
	patience     = 10 * time.Second
)

// loopback is dialled when no address is asked for: servers of either family are found.
var loopback = []string{"127.0.0.1", "::1"}

// buffers are taken only when there is something to read: a thousand idle connections need none.
var buffers = sync.Pool{New: func() any { return mux.NewOutput(frame.MaxPayload) }}

type request struct {
	Port    int    `json:"port"`
	Address string `json:"address"`
}

// Serve handles one `dial` stream.
func Serve(stream *mux.Stream) {
	var wanted request
	if err := json.Unmarshal(stream.Request, &wanted); err != nil || wanted.Port < 1 || wanted.Port > 65535 {
		stream.Fail("bad_request", "dial needs a port from 1 to 65535")
		return
	}
	connection, err := connect(stream, wanted)
	if err != nil {
		stream.Fail(code(err), err.Error())
		return
	}
	Carry(stream, connection)
}

// Carry makes a stream of a connection: its peer's address, then bytes both ways to the end of both. It closes the connection.
func Carry(stream *mux.Stream, connection *net.TCPConn) {
	defer connection.Close()
	said, _ := json.Marshal(map[string]string{"remote": connection.RemoteAddr().String()})
	if stream.Send(head, said) {
		stream.SendEOF(head)
		converse(stream, connection)
	}
}

func connect(stream *mux.Stream, wanted request) (*net.TCPConn, error) {
	addresses := loopback
	if wanted.Address != "" {
		addresses = []string{wanted.Address}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		select {
		case <-stream.Cancelled:
			cancel()
		case <-ctx.Done():
		}
	}()
	var first error
	for _, address := range addresses {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(wanted.Port)))
		if err == nil {
			return connection.(*net.TCPConn), nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// code returns the word of PROTOCOL.md for a failed dial.
func code(err error) string {
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return "refused"
	case errors.As(err, &name):
		return "not_found"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "unreachable"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "failed"
}

// converse moves bytes both ways until both sides have said their last word, or one of them has broken.
func converse(stream *mux.Stream, connection *net.TCPConn) {
	up, down := make(chan error, 1), make(chan error, 1)
	go func() { up <- upward(stream, connection) }()
	go func() { down <- downward(stream, connection) }()
	for range 2 {
		var err error
		select {
		case err = <-up:
		case err = <-down:
		case <-stream.Cancelled:
			err = errCancelled
		}
		if err != nil {
			// A reset: the other side must not take this for an orderly end.
			_ = connection.SetLinger(0)
			stream.Fail("reset", err.Error())
			return
		}
	}
	stream.Finish(struct{}{})
}

var errCancelled = errors.New("the host has cancelled the connection")

func upward(stream *mux.Stream, connection *net.TCPConn) error {
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	stream.Widen(mux.Window)
	for {
		pieces := stream.Gather(1, vector.Most)
		if len(pieces) == 0 && !stream.Whole() {
			return errCancelled
		}
		if len(pieces) == 0 {
			return connection.CloseWrite()
		}
		if _, err := nonblock.WriteAll(raw, pieces); err != nil {
			return err
		}
	}
}

func downward(stream *mux.Stream, connection *net.TCPConn) error {
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	for {
		n, err := passOn(stream, raw)
		if err != nil {
			return err
		}
		if n == 0 {
			stream.SendEOF(output)
			return nil
		}
	}
}

// passOn waits for data and sends it; 0 is the end of the connection, or of the stream.
func passOn(stream *mux.Stream, raw syscall.RawConn) (int, error) {
	var buffer *mux.Output
	var n int
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		buffer = buffers.Get().(*mux.Output)
		n, failed = nonblock.Once(fd, buffer.Bytes())
		if failed == syscall.EAGAIN {
			buffers.Put(buffer)
			return false
		}
		return true
	})
	if err != nil {
		return 0, err
	}
	defer buffers.Put(buffer)
	if failed != nil {
		return 0, failed
	}
	if n > 0 && !stream.SendOutput(output, buffer, n) {
		return 0, errCancelled
	}
	return n, nil
}
