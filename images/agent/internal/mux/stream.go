package mux

import (
	"encoding/binary"
	"fmt"
	"sync"

	"createos.local/agent/internal/frame"
)

// Stream is one request of the host and everything that belongs to it.
type Stream struct {
	// Request is the JSON of OPEN.
	Request []byte
	// Cancelled is closed when the host no longer wants the result, or is gone.
	Cancelled chan struct{}

	mux *Mux
	id  uint32

	mu      sync.Mutex
	changed sync.Cond
	credit  int
	input   []piece
	queued  int
	window  int
	owed    int
	lent    []piece
	inEOF   bool
	over    bool

	onControl func([]byte)
	early     [][]byte
}

// Control is the sub-channel of messages that must arrive while input waits: each is one frame, outside the credit.
const (
	Control    = 3
	MaxControl = 4 << 10
	maxEarly   = 16
)

func newStream(m *Mux, id uint32, request []byte) *Stream {
	s := &Stream{Request: request, Cancelled: make(chan struct{}), mux: m, id: id, credit: Window, window: Window}
	s.changed.L = &s.mu
	return s
}

// run keeps a panic of the handler inside the stream.
func (s *Stream) run(handler Handler) {
	defer func() {
		if cause := recover(); cause != nil {
			s.Fail("failed", fmt.Sprintf("the agent has a bug: %v", cause))
		}
	}()
	handler(s)
}

// Send writes data on a sub-channel, waiting for credit. It returns false when the stream was cancelled or is over.
func (s *Stream) Send(sub byte, data []byte) bool {
	for len(data) > 0 {
		n := s.take(min(len(data), frame.MaxPayload))
		if n == 0 || !s.mux.send(s, false, frame.Frame{Type: frame.Data, Flags: sub, Stream: s.id, Payload: data[:n]}) {
			return false
		}
		data = data[n:]
	}
	return true
}

// take waits until some credit is there and uses up to want of it; 0 means that the stream is over.
func (s *Stream) take(want int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.credit == 0 && !s.over {
		s.changed.Wait()
	}
	if s.over {
		return 0
	}
	n := min(want, s.credit)
	s.credit -= n
	return n
}

// SendEOF says that nothing more comes on a sub-channel.
func (s *Stream) SendEOF(sub byte) {
	s.mux.send(s, false, frame.Frame{Type: frame.EOF, Flags: sub, Stream: s.id})
}

// Receive returns the next piece of input, or false at its end. The host may send more once it has been returned.
func (s *Stream) Receive() ([]byte, bool) {
	s.mu.Lock()
	for len(s.input) == 0 && !s.inEOF && !s.over {
		s.changed.Wait()
	}
	if len(s.input) == 0 || s.over {
		s.mu.Unlock()
		return nil, false
	}
	data := s.pop().data
	s.mu.Unlock()
	s.grant(len(data))
	return data, true
}

// pop removes the first piece of input; it is called with the lock held.
func (s *Stream) pop() piece {
	first := s.input[0]
	s.input[0] = piece{}
	s.input = s.input[1:]
	s.queued -= len(first.data)
	return first
}

func (s *Stream) grant(size int) {
	var payload [4]byte
	binary.BigEndian.PutUint32(payload[:], uint32(size))
	s.mux.send(s, false, frame.Frame{Type: frame.Credit, Stream: s.id, Payload: payload[:]})
}

// Finish ends the stream with a result.
func (s *Stream) Finish(result any) { s.end(frame.Exit, result) }

// Fail ends the stream with an error; code is one of PROTOCOL.md, message is for people.
func (s *Stream) Fail(code, message string) {
	const longest = 4096
	s.end(frame.Error, struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message[:min(len(message), longest)]})
}

func (s *Stream) end(kind frame.Type, value any) {
	s.mux.send(s, true, frame.Frame{Type: kind, Stream: s.id, Payload: encode(value)})
	s.stop()
}

// OnControl gives every control message to act, which is called on the reader of the port and must not wait.
func (s *Stream) OnControl(act func(message []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, message := range s.early {
		act(message)
	}
	s.early = nil
	s.onControl = act
}

// control acts on a message, or keeps the first few until somebody wants them; one that is too long is dropped.
func (s *Stream) control(message []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(message) > MaxControl:
	case s.onControl != nil:
		s.onControl(message)
	case len(s.early) < maxEarly:
		s.early = append(s.early, append([]byte(nil), message...))
	}
}

// receive acts on a frame. whole is the buffer that its payload lies in, if it may be kept; else the payload is copied.
func (s *Stream) receive(f frame.Frame, whole *buffer) {
	if f.Type == frame.Data && f.Flags == Control {
		s.control(f.Payload)
		return
	}
	switch f.Type {
	case frame.Cancel:
		s.abandon()
	case frame.Credit:
		if len(f.Payload) == 4 {
			s.mu.Lock()
			s.credit += int(binary.BigEndian.Uint32(f.Payload))
			s.changed.Broadcast()
			s.mu.Unlock()
		}
	case frame.Data:
		s.mu.Lock()
		if !s.inEOF && !s.over && s.queued+len(f.Payload) <= s.window {
			s.input = append(s.input, kept(f.Payload, whole))
			s.queued += len(f.Payload)
			s.changed.Broadcast()
		}
		s.mu.Unlock()
	case frame.EOF:
		s.mu.Lock()
		s.inEOF = true
		s.changed.Broadcast()
		s.mu.Unlock()
	}
}

// abandon tells the handler to stop; it still ends the stream.
func (s *Stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.Cancelled:
	default:
		close(s.Cancelled)
	}
	s.over = true
	s.changed.Broadcast()
}

// stop wakes everything that still waits on a stream that has ended.
func (s *Stream) stop() { s.abandon() }
