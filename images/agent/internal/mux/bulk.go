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
	pieces := s.Gather(1, 1)
	if len(pieces) == 0 {
		return nil, false
	}
	return pieces[0], true
}

// Gather is Borrow for several pieces at once: it waits until so many bytes are there or the input has ended, and returns at most so many
// pieces, none at the end. least must be well below the window.
func (s *Stream) Gather(least, most int) [][]byte {
	s.mu.Lock()
	for _, old := range s.lent {
		if old.whole != nil {
			buffers.Put(old.whole)
		}
	}
	s.lent = s.lent[:0]
	for s.queued < least && !s.inEOF && !s.over {
		s.changed.Wait()
	}
	var pieces [][]byte
	for len(s.input) > 0 && len(pieces) < most && !s.over {
		next := s.pop()
		s.lent = append(s.lent, next)
		s.owed += len(next.data)
		pieces = append(pieces, next.data)
	}
	grant := 0
	if s.owed >= s.window/4 {
		grant, s.owed = s.owed, 0
	}
	s.mu.Unlock()
	if grant > 0 {
		s.grant(grant)
	}
	return pieces
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

// lead is the room for a header in front of an output, a page, so that what is read from a disk lies as the disk wants it.
const lead = 4096

// Output is a place for what is sent without being copied.
type Output struct{ whole []byte }

// NewOutput returns a place for so many bytes. It begins at a page if it is large.
func NewOutput(size int) *Output { return &Output{make([]byte, lead+size)} }

// Bytes is where the bytes go.
func (o *Output) Bytes() []byte { return o.whole[lead:] }

// SendOutput sends the first n bytes of an output, which may be used again afterwards. It returns what Send does.
func (s *Stream) SendOutput(sub byte, o *Output, n int) bool {
	for at := lead; at < lead+n; {
		granted := s.take(min(lead+n-at, frame.MaxPayload))
		if granted == 0 {
			return false
		}
		// The header goes in front of what is sent, over bytes that were sent before.
		wire := o.whole[at-frame.HeaderSize : at+granted]
		frame.PutHeader(wire, frame.Frame{Type: frame.Data, Flags: sub, Stream: s.id}, granted)
		if !s.mux.sendEncoded(s, wire) {
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
