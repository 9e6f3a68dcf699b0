// Package muxtest is the host's end of one stream, for tests of stream kinds.
package muxtest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net"
	"testing"
	"time"

	"createos.local/agent/internal/frame"
	"createos.local/agent/internal/mux"
)

const patience = 60 * time.Second

// Host speaks to a handler over a mux. Everything it gets is granted back at once.
type Host struct {
	// Out has what came on each sub-channel, Closed which of them have ended.
	Out    map[byte][]byte
	Closed map[byte]bool
	// Over is true when EXIT or ERROR came: Result is its payload, Code and Message are those of an ERROR.
	Over          bool
	Result        []byte
	Code, Message string

	t       *testing.T
	conn    net.Conn
	decoder frame.Decoder
	wire    chan []byte
}

// Open starts a mux and opens stream 1 with a request.
func Open(t *testing.T, handler mux.Handler, request any) *Host {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	m := mux.New(theirs, handler)
	m.SetReady([]byte(`{}`))
	go func() { _ = m.Serve(func() {}) }()
	h := &Host{Out: map[byte][]byte{}, Closed: map[byte]bool{}, t: t, conn: ours, wire: make(chan []byte, 1024)}
	go func() {
		for wire := range h.wire {
			_, _ = ours.Write(wire)
		}
	}()
	t.Cleanup(func() { close(h.wire) })
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	h.Send(frame.Frame{Type: frame.Reset, Payload: append([]byte(frame.ResetMarker), make([]byte, frame.NonceSize)...)},
		frame.Frame{Type: frame.Open, Stream: 1, Payload: text})
	return h
}

// Send sends frames behind earlier ones; it does not wait.
func (h *Host) Send(frames ...frame.Frame) {
	var wire []byte
	for _, f := range frames {
		wire = frame.Append(wire, f)
	}
	h.wire <- wire
}

// Input sends data on sub-channel 0, and its end.
func (h *Host) Input(data string, ends bool) {
	var frames []frame.Frame
	if data != "" {
		frames = append(frames, frame.Frame{Type: frame.Data, Stream: 1, Payload: []byte(data)})
	}
	if ends {
		frames = append(frames, frame.Frame{Type: frame.EOF, Stream: 1})
	}
	h.Send(frames...)
}

// Cancel cancels the stream.
func (h *Host) Cancel() { h.Send(frame.Frame{Type: frame.Cancel, Stream: 1}) }

// Until reads frames until the condition holds.
func (h *Host) Until(condition func() bool) {
	h.t.Helper()
	_ = h.conn.SetDeadline(time.Now().Add(patience))
	for !condition() {
		f, ok := h.decoder.Next()
		if !ok {
			n, err := h.conn.Read(h.decoder.Space(1 << 16))
			if err != nil {
				h.t.Fatalf("%v; so far %+v", err, h)
			}
			h.decoder.Filled(n)
			continue
		}
		h.take(f)
	}
}

// Finish reads to the end of the stream.
func (h *Host) Finish() *Host {
	h.t.Helper()
	h.Until(func() bool { return h.Over })
	return h
}

func (h *Host) take(f frame.Frame) {
	switch f.Type {
	case frame.Data:
		h.Out[f.Flags] = append(h.Out[f.Flags], f.Payload...)
		grant := binary.BigEndian.AppendUint32(nil, uint32(len(f.Payload)))
		h.Send(frame.Frame{Type: frame.Credit, Stream: 1, Payload: grant})
	case frame.EOF:
		h.Closed[f.Flags] = true
	case frame.Exit, frame.Error:
		h.Over, h.Result = true, bytes.Clone(f.Payload)
		if f.Type == frame.Error {
			var said struct{ Code, Message string }
			_ = json.Unmarshal(f.Payload, &said)
			h.Code, h.Message = said.Code, said.Message
		}
	}
}
