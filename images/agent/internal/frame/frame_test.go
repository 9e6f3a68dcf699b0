package frame

import (
	"bytes"
	"testing"
)

func feed(d *Decoder, data []byte, step int) []Frame {
	var frames []Frame
	for len(data) > 0 {
		n := min(step, len(data))
		copy(d.Space(n), data[:n])
		d.Filled(n)
		data = data[n:]
		for {
			f, ok := d.Next()
			if !ok {
				break
			}
			f.Payload = bytes.Clone(f.Payload)
			frames = append(frames, f)
		}
	}
	return frames
}

func reset(nonce byte) Frame {
	return Frame{Type: Reset, Payload: append([]byte(ResetMarker), bytes.Repeat([]byte{nonce}, NonceSize)...)}
}

func TestFramesComeBackWhateverTheChunks(t *testing.T) {
	sent := []Frame{
		{Type: Open, Stream: 1, Payload: []byte("{}")},
		{Type: Data, Flags: 2, Stream: 0xfffffffe, Payload: bytes.Repeat([]byte{7}, MaxPayload)},
		{Type: EOF, Stream: 1, Payload: []byte{}},
	}
	var wire []byte
	for _, f := range sent {
		wire = Append(wire, f)
	}
	for _, step := range []int{1, 7, HeaderSize, 4096, len(wire)} {
		got := feed(&Decoder{}, wire, step)
		if len(got) != len(sent) {
			t.Fatalf("step %d: %d frames", step, len(got))
		}
		for i, f := range got {
			if f.Type != sent[i].Type || f.Flags != sent[i].Flags || f.Stream != sent[i].Stream || !bytes.Equal(f.Payload, sent[i].Payload) {
				t.Fatalf("step %d: frame %d differs", step, i)
			}
		}
	}
}

func TestAHalfFrameFollowedByZerosAndAResetEndsInTheReset(t *testing.T) {
	half := Append(nil, Frame{Type: Data, Stream: 3, Payload: make([]byte, MaxPayload)})
	for _, cut := range []int{1, 5, HeaderSize, HeaderSize + 1, len(half) - 1} {
		wire := append(bytes.Clone(half[:cut]), make([]byte, 65536)...)
		wire = Append(wire, reset(9))
		got := feed(&Decoder{}, wire, 1000)
		if len(got) == 0 || got[len(got)-1].Type != Reset {
			t.Fatalf("cut at %d: %v frames", cut, len(got))
		}
	}
}

func TestGarbageIsSkippedUpToTheNextReset(t *testing.T) {
	wire := append([]byte("login: createos-reset-"), Append(nil, Frame{Type: Exit, Stream: 1})...)
	wire = Append(wire, reset(1))
	wire = Append(wire, Frame{Type: Open, Stream: 1, Payload: []byte("{}")})
	got := feed(&Decoder{}, wire, 3)
	if len(got) != 2 || got[0].Type != Reset || got[1].Type != Open {
		t.Fatalf("got %v", got)
	}
}

func TestALengthBeyondTheLimitIsNoFrame(t *testing.T) {
	wire := Append(nil, Frame{Type: Data, Stream: 1})
	wire[8] = 0xff
	if got := feed(&Decoder{}, append(wire, make([]byte, 100)...), 10); len(got) != 0 {
		t.Fatalf("got %v", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("garbage"), 3)
	f.Add(Append(nil, reset(1)), 1)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		if step < 1 || step > 1<<16 {
			step = 1
		}
		d := &Decoder{}
		for _, frame := range feed(d, data, step) {
			if len(frame.Payload) > MaxPayload {
				t.Fatal("payload above the limit")
			}
		}
		if cap(d.buffer) > 2*(MaxPayload+HeaderSize)+len(data)+step {
			t.Fatal("buffer grows without bound")
		}
		got := feed(d, Append(make([]byte, 65536), reset(5)), 4096)
		if len(got) == 0 || got[len(got)-1].Type != Reset {
			t.Fatal("no reset after garbage")
		}
	})
}
