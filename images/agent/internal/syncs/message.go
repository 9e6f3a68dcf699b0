package syncs

import (
	"encoding/binary"
	"fmt"

	"createos.local/agent/internal/mux"
)

// The messages within a `sync` stream (PROTOCOL.md, "sync"): u32 length, u8 type, payload.
const (
	typeStart   = 0x01
	typeScan    = 0x02
	typeHash    = 0x03
	typeGet     = 0x04
	typePut     = 0x05
	typeBody    = 0x06
	typeCommit  = 0x07
	typeAbort   = 0x08
	typeMkdir   = 0x09
	typeSymlink = 0x0a
	typeChmod   = 0x0b
	typeRemove  = 0x0c
	typeRename  = 0x0d

	typeHello   = 0x81
	typeEntry   = 0x82
	typeDone    = 0x83
	typeFailed  = 0x84
	typeData    = 0x85
	typeHashed  = 0x86
	typeChanged = 0x87
	typeAlive   = 0x88

	longestMessage = 256 << 10
	longestPath    = 4096
	deepestPath    = 128
)

// Why a request failed.
const (
	codeChanged     = 1
	codeNotEmpty    = 2
	codeDenied      = 3
	codeNoSpace     = 4
	codeBadPath     = 5
	codeUnsupported = 6
	codeGone        = 7
	codeFailed      = 9
)

// kind says what a path is; other is anything that is not synchronised.
type kind byte

const (
	absent kind = iota
	file
	directory
	symlink
	other
)

// version identifies a state of a file without reading it: any write changes at least one of these.
type version struct {
	Size         uint64
	Mtime, Ctime int64
	Ino          uint64
}

// entry is what a path was when it was looked at.
type entry struct {
	Kind    kind
	Mode    uint16
	Version version
	Target  string
}

// failure is an expected end of one request.
type failure struct {
	code byte
	text string
}

func (f *failure) Error() string { return f.text }

func failed(code byte, format string, args ...any) error {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// message builds one message in out.
type message struct{ out []byte }

func begin(kind byte) *message { return &message{append(make([]byte, 4, 128), kind)} }

func (m *message) u8(v byte) *message {
	m.out = append(m.out, v)
	return m
}

func (m *message) u16(v uint16) *message {
	m.out = binary.BigEndian.AppendUint16(m.out, v)
	return m
}

func (m *message) u32(v uint32) *message {
	m.out = binary.BigEndian.AppendUint32(m.out, v)
	return m
}

func (m *message) u64(v uint64) *message {
	m.out = binary.BigEndian.AppendUint64(m.out, v)
	return m
}

func (m *message) text(v string) *message {
	m.u16(uint16(len(v)))
	m.out = append(m.out, v...)
	return m
}

func (m *message) raw(v []byte) *message {
	m.out = append(m.out, v...)
	return m
}

func (m *message) entry(e entry) *message {
	m.u8(byte(e.Kind)).u16(e.Mode)
	return m.u64(e.Version.Size).u64(uint64(e.Version.Mtime)).u64(uint64(e.Version.Ctime)).u64(e.Version.Ino)
}

func (m *message) bytes() []byte {
	binary.BigEndian.PutUint32(m.out, uint32(len(m.out)-4))
	return m.out
}

// fields takes a payload apart; what is missing makes bad true and reads as zero.
type fields struct {
	data []byte
	bad  bool
}

func (f *fields) take(n int) []byte {
	if n > len(f.data) {
		f.bad, f.data = true, nil
		return make([]byte, n)
	}
	taken := f.data[:n]
	f.data = f.data[n:]
	return taken
}

func (f *fields) u8() byte     { return f.take(1)[0] }
func (f *fields) u16() uint16  { return binary.BigEndian.Uint16(f.take(2)) }
func (f *fields) u32() uint32  { return binary.BigEndian.Uint32(f.take(4)) }
func (f *fields) u64() uint64  { return binary.BigEndian.Uint64(f.take(8)) }
func (f *fields) text() string { return string(f.take(int(f.u16()))) }

func (f *fields) entry() entry {
	e := entry{Kind: kind(f.u8()), Mode: f.u16()}
	e.Version = version{f.u64(), int64(f.u64()), int64(f.u64()), f.u64()}
	return e
}

// input cuts the host's bytes into messages.
type input struct {
	stream *mux.Stream
	buffer []byte
}

// ready says whether next returns without waiting.
func (in *input) ready() bool {
	return len(in.buffer) >= 4 && len(in.buffer) >= 4+int(binary.BigEndian.Uint32(in.buffer))
}

// next returns a message's type and payload, valid until the following call; false at the end of the input.
func (in *input) next() (byte, []byte, bool) {
	for {
		if len(in.buffer) >= 5 {
			length := int(binary.BigEndian.Uint32(in.buffer))
			if length < 1 || length > longestMessage {
				return 0, nil, false
			}
			if len(in.buffer) >= 4+length {
				whole := in.buffer[4 : 4+length]
				in.buffer = in.buffer[4+length:]
				return whole[0], whole[1:], true
			}
		}
		data, more := in.stream.Receive()
		if !more {
			return 0, nil, false
		}
		in.buffer = append(in.buffer, data...)
	}
}
