// Package frame is the codec of the guest protocol (PROTOCOL.md, "Frames"). It does no I/O.
package frame

import (
	"bytes"
	"encoding/binary"
)

// Type says what a frame is.
type Type byte

// The frame types of protocol version 1.
const (
	Reset  Type = 0x01
	Ready  Type = 0x02
	Open   Type = 0x10
	Data   Type = 0x11
	EOF    Type = 0x12
	Credit Type = 0x13
	Exit   Type = 0x14
	Error  Type = 0x15
	Cancel Type = 0x16
)

// Sizes in bytes, and the two bits of the format that are spelled out.
const (
	Magic      = 0xC05B
	HeaderSize = 12
	MaxPayload = 64<<10 - HeaderSize
	NonceSize  = 16
	More       = 1

	ResetMarker = "createos-reset-1"
	ReadyMarker = "createos-ready-1"
)

// Frame is one frame. The payload of a decoded frame is valid until the next call of Decoder.Next.
type Frame struct {
	Type    Type
	Flags   byte
	Stream  uint32
	Payload []byte
}

// resetHead is what a hunting decoder looks for: the header of a RESET and its marker.
var resetHead = Append(nil, Frame{Type: Reset, Payload: []byte(ResetMarker + "0123456789abcdef")})[:HeaderSize+len(ResetMarker)]

// Append adds an encoded frame to dst. The caller keeps payloads within MaxPayload.
func Append(dst []byte, f Frame) []byte {
	var header [HeaderSize]byte
	PutHeader(header[:], f, len(f.Payload))
	return append(append(dst, header[:]...), f.Payload...)
}

// PutHeader writes the header of a frame whose payload has so many bytes.
func PutHeader(header []byte, f Frame, length int) {
	binary.BigEndian.PutUint16(header[0:], Magic)
	header[2] = byte(f.Type)
	header[3] = f.Flags
	binary.BigEndian.PutUint32(header[4:], f.Stream)
	binary.BigEndian.PutUint32(header[8:], uint32(length))
}

// Decoder turns bytes into frames. What is not a frame is skipped up to the next RESET.
type Decoder struct {
	buffer  []byte
	start   int
	hunting bool
}

// Space returns a slice of at least n bytes to read into; Filled says how many of them were.
func (d *Decoder) Space(n int) []byte {
	if d.start > 0 {
		d.buffer = d.buffer[:copy(d.buffer, d.buffer[d.start:])]
		d.start = 0
	}
	if cap(d.buffer)-len(d.buffer) < n {
		grown := make([]byte, len(d.buffer), len(d.buffer)+n)
		copy(grown, d.buffer)
		d.buffer = grown
	}
	return d.buffer[len(d.buffer):cap(d.buffer)]
}

// Filled adds the first n bytes of what Space returned.
func (d *Decoder) Filled(n int) { d.buffer = d.buffer[:len(d.buffer)+n] }

// Forget drops a half-received frame: the peer that was sending it has gone away.
func (d *Decoder) Forget() { d.buffer, d.start, d.hunting = d.buffer[:0], 0, false }

// Next returns the next whole frame, or false when more bytes are needed.
func (d *Decoder) Next() (Frame, bool) {
	for {
		rest := d.buffer[d.start:]
		if d.hunting && !d.hunt(rest) {
			return Frame{}, false
		}
		rest = d.buffer[d.start:]
		if len(rest) < HeaderSize {
			return Frame{}, false
		}
		f, length, ok := parse(rest)
		if !ok {
			d.hunting = true
			continue
		}
		if len(rest) < HeaderSize+length {
			return Frame{}, false
		}
		f.Payload = rest[HeaderSize : HeaderSize+length]
		d.start += HeaderSize + length
		return f, true
	}
}

// Begun returns a frame whose header is there and part of whose payload is missing, and the length of the whole payload.
// Whoever reads the rest himself calls Forget.
func (d *Decoder) Begun() (Frame, int, bool) {
	rest := d.buffer[d.start:]
	if d.hunting || len(rest) < HeaderSize {
		return Frame{}, 0, false
	}
	f, length, ok := parse(rest)
	f.Payload = rest[HeaderSize:]
	return f, length, ok && len(f.Payload) < length
}

// hunt moves to the next RESET and reports whether its head is there.
func (d *Decoder) hunt(rest []byte) bool {
	at := bytes.Index(rest, resetHead)
	if at < 0 {
		if keep := len(resetHead) - 1; len(rest) > keep {
			d.start = len(d.buffer) - keep
		}
		return false
	}
	d.start += at
	d.hunting = false
	return true
}

func parse(header []byte) (Frame, int, bool) {
	f := Frame{Type: Type(header[2]), Flags: header[3], Stream: binary.BigEndian.Uint32(header[4:])}
	length := binary.BigEndian.Uint32(header[8:])
	known := f.Type == Reset || f.Type == Ready || (f.Type >= Open && f.Type <= Cancel)
	ok := binary.BigEndian.Uint16(header) == Magic && known && length <= MaxPayload
	return f, int(length), ok
}
