// Package mux serves the guest protocol on one port: epochs, streams, credit and fair sending (PROTOCOL.md).
package mux

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"

	"createos.local/agent/internal/frame"
)

// Limits of the protocol, in bytes.
const (
	Window     = 256 << 10
	maxRequest = 4 << 20
	readChunk  = 128 << 10
)

// Handler does the work of one stream; it runs on a goroutine of its own and ends the stream exactly once.
type Handler func(*Stream)

// Mux speaks the protocol on a port. A read that returns io.EOF means that the host has gone away, not the end.
type Mux struct {
	port    io.ReadWriter
	handler Handler

	mu      sync.Mutex
	nonce   []byte
	ready   []byte
	streams map[uint32]*Stream
	partial map[uint32][]byte
	out     []byte
}

// New returns a mux that gives every opened stream to handler.
func New(port io.ReadWriter, handler Handler) *Mux {
	return &Mux{port: port, handler: handler, streams: map[uint32]*Stream{}, partial: map[uint32][]byte{}}
}

// SetReady gives the JSON of READY; until then a host that asks is kept waiting.
func (m *Mux) SetReady(ready []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ready = ready
	m.sendReady()
}

// Serve reads until the port fails. gone is called when the host has gone away and should return when it is worth reading again.
func (m *Mux) Serve(gone func()) error {
	decoder := &frame.Decoder{}
	for {
		n, err := m.port.Read(decoder.Space(readChunk))
		if n > 0 {
			decoder.Filled(n)
			m.dispatch(decoder)
			if err = m.finish(decoder); err == nil {
				continue
			}
		}
		if err != nil && err != io.EOF {
			return err
		}
		decoder.Forget()
		gone()
	}
}

func (m *Mux) dispatch(decoder *frame.Decoder) {
	for {
		f, ok := decoder.Next()
		if !ok {
			return
		}
		m.receive(f, nil)
	}
}

func (m *Mux) receive(f frame.Frame, whole *buffer) {
	switch f.Type {
	case frame.Reset:
		m.reset(f.Payload)
	case frame.Open:
		m.open(f)
	default:
		m.mu.Lock()
		stream := m.streams[f.Stream]
		m.mu.Unlock()
		if stream != nil {
			stream.receive(f, whole)
		}
	}
}

// reset begins a new epoch, or repeats READY within the present one.
func (m *Mux) reset(payload []byte) {
	if len(payload) != len(frame.ResetMarker)+frame.NonceSize || string(payload[:len(frame.ResetMarker)]) != frame.ResetMarker {
		return
	}
	nonce := payload[len(frame.ResetMarker):]
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(nonce, m.nonce) {
		for _, stream := range m.streams {
			stream.abandon()
		}
		m.nonce = bytes.Clone(nonce)
		m.streams = map[uint32]*Stream{}
		m.partial = map[uint32][]byte{}
	}
	m.sendReady()
}

// sendReady is called with the lock held.
func (m *Mux) sendReady() {
	if m.nonce == nil || m.ready == nil {
		return
	}
	payload := append(append([]byte(frame.ReadyMarker), m.nonce...), m.ready...)
	m.write(frame.Frame{Type: frame.Ready, Payload: payload})
}

func (m *Mux) open(f frame.Frame) {
	m.mu.Lock()
	if m.nonce == nil || m.streams[f.Stream] != nil {
		m.mu.Unlock()
		return
	}
	request := append(m.partial[f.Stream], f.Payload...)
	if f.Flags&frame.More != 0 && len(request) <= maxRequest {
		m.partial[f.Stream] = request
		m.mu.Unlock()
		return
	}
	delete(m.partial, f.Stream)
	stream := newStream(m, f.Stream, bytes.Clone(request))
	m.streams[f.Stream] = stream
	m.mu.Unlock()
	if len(request) > maxRequest {
		stream.Fail("bad_request", "the request is larger than 4 MiB")
		return
	}
	go stream.run(m.handler)
}

// send writes frames of a stream in one piece, or drops them when its epoch is over. The lock is what makes
// sending fair: Go hands a contended mutex to whoever has waited for more than a millisecond.
func (m *Mux) send(stream *Stream, final bool, frames ...frame.Frame) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.streams[stream.id] != stream {
		return false
	}
	if final {
		delete(m.streams, stream.id)
	}
	m.write(frames...)
	return true
}

// write is called with the lock held. A port that fails to write fails to read too; the reader deals with it.
func (m *Mux) write(frames ...frame.Frame) {
	m.out = m.out[:0]
	for _, f := range frames {
		m.out = frame.Append(m.out, f)
	}
	_, _ = m.port.Write(m.out)
}

func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil || len(text) > frame.MaxPayload {
		return []byte(`{}`)
	}
	return text
}
