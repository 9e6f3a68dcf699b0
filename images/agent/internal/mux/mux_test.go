package mux

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"createos.local/agent/internal/frame"
)

const patience = 60 * time.Second

// host is the other end of a mux, with a decoder of its own.
type host struct {
	t       *testing.T
	conn    net.Conn
	decoder frame.Decoder
}

// serve starts a mux and returns its host.
func serve(t *testing.T, handler Handler) *host {
	t.Helper()
	ours, theirs := net.Pipe()
	m := New(theirs, handler)
	m.SetReady([]byte(`{"version":1}`))
	go func() { _ = m.Serve(func() { time.Sleep(time.Millisecond) }) }()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return &host{t: t, conn: ours}
}

func (h *host) send(frames ...frame.Frame) {
	h.t.Helper()
	var wire []byte
	for _, f := range frames {
		wire = frame.Append(wire, f)
	}
	h.raw(wire)
}

func (h *host) raw(wire []byte) {
	h.t.Helper()
	h.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := h.conn.Write(wire); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) next() frame.Frame {
	h.t.Helper()
	for {
		if f, ok := h.decoder.Next(); ok {
			f.Payload = bytes.Clone(f.Payload)
			return f
		}
		h.conn.SetReadDeadline(time.Now().Add(patience))
		n, err := h.conn.Read(h.decoder.Space(4096))
		if err != nil {
			h.t.Fatal(err)
		}
		h.decoder.Filled(n)
	}
}

// want returns the next frame, which must be of this type and stream.
func (h *host) want(kind frame.Type, stream uint32) frame.Frame {
	h.t.Helper()
	f := h.next()
	if f.Type != kind || f.Stream != stream {
		h.t.Fatalf("got type %#x on stream %d (%q), want %#x on %d", f.Type, f.Stream, f.Payload, kind, stream)
	}
	return f
}

func (h *host) reset(nonce byte) {
	h.t.Helper()
	h.sendReset(nonce)
	h.ready(h.want(frame.Ready, 0), nonce)
}

func (h *host) sendReset(nonce byte) {
	h.t.Helper()
	h.send(frame.Frame{Type: frame.Reset, Payload: append([]byte(frame.ResetMarker), bytes.Repeat([]byte{nonce}, frame.NonceSize)...)})
}

func (h *host) ready(f frame.Frame, nonce byte) {
	h.t.Helper()
	if !bytes.Equal(f.Payload[len(frame.ReadyMarker):len(frame.ReadyMarker)+frame.NonceSize], bytes.Repeat([]byte{nonce}, frame.NonceSize)) {
		h.t.Fatal("READY has another nonce")
	}
}

func open(stream uint32, request string) frame.Frame {
	return frame.Frame{Type: frame.Open, Stream: stream, Payload: []byte(request)}
}

func echo(s *Stream) { s.Finish(map[string]string{"request": string(s.Request)}) }

func TestAStreamEndsInOneResult(t *testing.T) {
	h := serve(t, echo)
	h.reset(1)
	h.send(open(1, "a"), open(2, "b"))
	got := map[uint32]bool{h.next().Stream: true, h.next().Stream: true}
	if !got[1] || !got[2] {
		t.Fatal(got)
	}
}

func TestNothingIsAnsweredBeforeAReset(t *testing.T) {
	h := serve(t, echo)
	h.send(open(1, "too early"))
	h.reset(1)
	h.send(open(1, "now"))
	if f := h.want(frame.Exit, 1); !strings.Contains(string(f.Payload), "now") {
		t.Fatalf("%s", f.Payload)
	}
}

func TestAHalfFrameAndGarbageDoNotKeepAResetFromWorking(t *testing.T) {
	h := serve(t, echo)
	h.reset(1)
	half := frame.Append(nil, open(1, strings.Repeat("x", 5000)))
	h.raw(half[:3000])
	h.raw(make([]byte, 65536))
	h.sendReset(2)
	f := h.next()
	for f.Type != frame.Ready {
		// The half frame and the zeros made a whole one, which may have been answered.
		f = h.next()
	}
	h.ready(f, 2)
	h.send(open(1, "again"))
	h.want(frame.Exit, 1)
}

func TestARequestMayComeInParts(t *testing.T) {
	h := serve(t, echo)
	h.reset(1)
	first := open(1, "first ")
	first.Flags = frame.More
	h.send(first, open(1, "second"))
	if f := h.want(frame.Exit, 1); !strings.Contains(string(f.Payload), "first second") {
		t.Fatalf("%s", f.Payload)
	}
}

func TestARequestAboveTheLimitIsRefused(t *testing.T) {
	h := serve(t, echo)
	h.reset(1)
	part := open(1, strings.Repeat("x", frame.MaxPayload))
	part.Flags = frame.More
	go func() {
		for range maxRequest/frame.MaxPayload + 1 {
			h.conn.Write(frame.Append(nil, part))
		}
	}()
	if f := h.want(frame.Error, 1); !strings.Contains(string(f.Payload), "bad_request") {
		t.Fatalf("%s", f.Payload)
	}
}

func TestTheSameNonceChangesNothingANewOneEndsAllStreams(t *testing.T) {
	cancelled := make(chan bool, 1)
	h := serve(t, func(s *Stream) {
		<-s.Cancelled
		cancelled <- true
		s.Finish(nil)
	})
	h.reset(1)
	h.send(open(1, "waits"))
	h.reset(1)
	select {
	case <-cancelled:
		t.Fatal("the same nonce ended a stream")
	case <-time.After(50 * time.Millisecond):
	}
	h.reset(2)
	select {
	case <-cancelled:
	case <-time.After(patience):
		t.Fatal("the stream goes on")
	}
	h.send(open(1, "the number is free again"))
	h.send(frame.Frame{Type: frame.Cancel, Stream: 1})
	h.want(frame.Exit, 1)
}

func TestASenderWaitsForCredit(t *testing.T) {
	h := serve(t, func(s *Stream) {
		s.Send(1, make([]byte, Window+10))
		s.Finish(nil)
	})
	h.reset(1)
	h.send(open(1, ""))
	for got := 0; got < Window; {
		got += len(h.want(frame.Data, 1).Payload)
	}
	h.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := h.conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("more than the window was sent")
	}
	h.send(frame.Frame{Type: frame.Credit, Stream: 1, Payload: binary.BigEndian.AppendUint32(nil, 10)})
	if f := h.want(frame.Data, 1); len(f.Payload) != 10 {
		t.Fatal(len(f.Payload))
	}
	h.want(frame.Exit, 1)
}

func TestInputIsDeliveredInOrderAndGrantedBack(t *testing.T) {
	h := serve(t, func(s *Stream) {
		var all []byte
		for data, more := s.Receive(); more; data, more = s.Receive() {
			all = append(all, data...)
		}
		s.Finish(string(all))
	})
	h.reset(1)
	h.send(open(1, ""), frame.Frame{Type: frame.Data, Stream: 1, Payload: []byte("one ")})
	if f := h.want(frame.Credit, 1); binary.BigEndian.Uint32(f.Payload) != 4 {
		t.Fatal(f.Payload)
	}
	h.send(frame.Frame{Type: frame.Data, Stream: 1, Payload: []byte("two")}, frame.Frame{Type: frame.EOF, Stream: 1})
	h.want(frame.Credit, 1)
	if f := h.want(frame.Exit, 1); string(f.Payload) != `"one two"` {
		t.Fatalf("%s", f.Payload)
	}
}

func TestAPanicEndsItsStreamOnly(t *testing.T) {
	h := serve(t, func(s *Stream) {
		if string(s.Request) == "bug" {
			panic("oh")
		}
		echo(s)
	})
	h.reset(1)
	h.send(open(1, "bug"))
	h.want(frame.Error, 1)
	h.send(open(2, "fine"))
	h.want(frame.Exit, 2)
}

func TestAStreamEndsOnceWhateverRaces(t *testing.T) {
	h := serve(t, func(s *Stream) {
		var all sync.WaitGroup
		for range 8 {
			all.Add(1)
			go func() { defer all.Done(); s.Finish(nil); s.Fail("failed", "late") }()
		}
		all.Wait()
	})
	h.reset(1)
	for stream := uint32(1); stream <= 50; stream++ {
		h.send(open(stream, ""))
		f := h.next()
		if f.Stream != stream || (f.Type != frame.Exit && f.Type != frame.Error) {
			t.Fatalf("stream %d: %+v", stream, f)
		}
	}
}

func TestTheEndOfTheHostIsNotTheEndOfTheMux(t *testing.T) {
	reader, writer := io.Pipe()
	port := &flaky{reads: reader, first: true}
	m := New(port, echo)
	gone := make(chan bool, 1)
	go func() { _ = m.Serve(func() { gone <- true }) }()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("gone was not called")
	}
	writer.CloseWithError(net.ErrClosed)
}

// flaky says EOF once, as a port without a host does.
type flaky struct {
	reads io.Reader
	first bool
}

func (f *flaky) Read(p []byte) (int, error) {
	if f.first {
		f.first = false
		return 0, io.EOF
	}
	return f.reads.Read(p)
}

func (f *flaky) Write(p []byte) (int, error) { return len(p), nil }
