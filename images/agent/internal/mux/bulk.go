package mux

import (
	"io"
	"sync"

	"createos.local/agent/internal/frame"
)

// Copying costs more than everything else that happens to a large piece of input or output, so it is read to where it
// is used and sent from where it was made.

// Bulk is by how much streams that only move bytes widen their window.
const Bulk = 1 << 20

// direct is how much of a payload must be missing before the rest is read to a buffer of its own.
const direct = 12 << 10

type buffer [frame.HeaderSize + frame.MaxPayload]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// piece is some input, and the buffer that it lies in if that may be used again.
type piece struct {
	data  []byte
	whole *buffer
}

// kept returns a payload as a piece that stays: in its own buffer, or copied.
func kept(payload []byte, whole *buffer) piece {
	if whole != nil {
		return piece{payload, whole}
	}
	return piece{data: append([]byte(nil), payload...)}
}

// finish reads the rest of a large frame that has begun.
func (m *Mux) finish(decoder *frame.Decoder) error {
	f, length, ok := decoder.Begun()
	if !ok || f.Type != frame.Data || length-len(f.Payload) < direct {
		return nil
	}
	whole := buffers.Get().(*buffer)
	have := copy(whole[:], f.Payload)
	decoder.Forget()
	_, err := io.ReadFull(m.port, whole[have:length])
	if err == io.ErrUnexpectedEOF {
		return io.EOF
	}
	if err != nil {
		return err
	}
	f.Payload = whole[:length]
	m.receive(f, whole)
	return nil
}

// Widen lets the host send so much more before it must wait, for input that is taken as fast as it comes.
func (s *Stream) Widen(size int) {
	s.mu.Lock()
	s.window += size
	s.mu.Unlock()
	s.grant(size)
}

// Borrow is Receive for a lot of input: a piece is valid until the next call, and credit is given in larger steps.
func (s *Stream) Borrow() ([]byte, bool) {
	s.mu.Lock()
	if s.lent.whole != nil {
		buffers.Put(s.lent.whole)
	}
	s.lent = piece{}
	for len(s.input) == 0 && !s.inEOF && !s.over {
		s.changed.Wait()
	}
	if len(s.input) == 0 || s.over {
		s.mu.Unlock()
		return nil, false
	}
	s.lent = s.pop()
	s.owed += len(s.lent.data)
	grant := 0
	if s.owed >= s.window/4 {
		grant, s.owed = s.owed, 0
	}
	s.mu.Unlock()
	if grant > 0 {
		s.grant(grant)
	}
	return s.lent.data, true
}

// Whole says, once the input has ended, whether the host ended it: after a cancel, what came is only a part.
func (s *Stream) Whole() bool {
	select {
	case <-s.Cancelled:
		return false
	default:
		return true
	}
}

// Output is a place for one frame's payload that is sent without being copied.
type Output struct{ whole buffer }

// Bytes is where the payload goes.
func (o *Output) Bytes() []byte { return o.whole[frame.HeaderSize:] }

// SendOutput sends the first n bytes of an output, which may be used again afterwards. It returns what Send does.
func (s *Stream) SendOutput(sub byte, o *Output, n int) bool {
	for at := 0; at < n; {
		granted := s.take(n - at)
		if granted == 0 {
			return false
		}
		// The header goes in front of what is sent, over bytes that were sent before.
		head := o.whole[at : at+frame.HeaderSize]
		frame.PutHeader(head, frame.Frame{Type: frame.Data, Flags: sub, Stream: s.id}, granted)
		if !s.mux.sendEncoded(s, o.whole[at:at+frame.HeaderSize+granted]) {
			return false
		}
		at += granted
	}
	return true
}

func (m *Mux) sendEncoded(stream *Stream, wire []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.streams[stream.id] != stream {
		return false
	}
	_, _ = m.port.Write(wire)
	return true
}
