// Package sftp is a server of the SSH file transfer protocol, version 3 as OpenSSH speaks it (draft-ietf-secsh-filexfer-02
// and OpenSSH's PROTOCOL file). It serves the files that its own process may touch, whoever that is.
package sftp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// Sizes in bytes. A packet is what OpenSSH accepts too; the rest leaves room for the other fields.
const (
	maxPacket = 256 << 10
	maxData   = maxPacket - 1024
)

// Types of packets.
const (
	typeInit     = 1
	typeVersion  = 2
	typeOpen     = 3
	typeClose    = 4
	typeRead     = 5
	typeWrite    = 6
	typeLstat    = 7
	typeFstat    = 8
	typeSetstat  = 9
	typeFsetstat = 10
	typeOpendir  = 11
	typeReaddir  = 12
	typeRemove   = 13
	typeMkdir    = 14
	typeRmdir    = 15
	typeRealpath = 16
	typeStat     = 17
	typeRename   = 18
	typeReadlink = 19
	typeSymlink  = 20
	typeStatus   = 101
	typeHandle   = 102
	typeData     = 103
	typeName     = 104
	typeAttrs    = 105
	typeExtended = 200
	typeReply    = 201
)

var errBadLength = errors.New("sftp: a packet of impossible length")

// packet takes the fields of a packet apart; after the first one that is not there all are zero and bad is set.
type packet struct {
	rest []byte
	bad  bool
}

func (p *packet) take(n uint32) []byte {
	if p.bad || uint64(n) > uint64(len(p.rest)) {
		p.bad, p.rest = true, nil
		return nil
	}
	field := p.rest[:n]
	p.rest = p.rest[n:]
	return field
}

func (p *packet) byte() byte {
	if field := p.take(1); field != nil {
		return field[0]
	}
	return 0
}

func (p *packet) uint32() uint32 {
	if field := p.take(4); field != nil {
		return binary.BigEndian.Uint32(field)
	}
	return 0
}

func (p *packet) uint64() uint64 {
	if field := p.take(8); field != nil {
		return binary.BigEndian.Uint64(field)
	}
	return 0
}

// bytes returns a field with a length; it is valid until the next packet is read.
func (p *packet) bytes() []byte { return p.take(p.uint32()) }

func (p *packet) text() string { return string(p.bytes()) }

// readPacket reads one packet into buffer, which must have room for maxPacket, and returns its type and fields.
func readPacket(in *bufio.Reader, buffer []byte) (byte, *packet, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > maxPacket {
		return 0, nil, errBadLength
	}
	if _, err := io.ReadFull(in, buffer[:size]); err != nil {
		return 0, nil, err
	}
	return buffer[0], &packet{rest: buffer[1:size]}, nil
}

// ready tells whether a whole packet has come, so that reading it does not wait.
func ready(in *bufio.Reader) bool {
	if in.Buffered() < 4 {
		return false
	}
	head, err := in.Peek(4)
	return err == nil && uint64(in.Buffered()) >= 4+uint64(binary.BigEndian.Uint32(head))
}

// answer builds one packet; its length is filled in when it is sent.
type answer struct{ wire []byte }

func (a *answer) begin(kind byte) *answer {
	a.wire = append(a.wire[:0], 0, 0, 0, 0, kind)
	return a
}

func (a *answer) uint32(value uint32) *answer {
	a.wire = binary.BigEndian.AppendUint32(a.wire, value)
	return a
}

func (a *answer) uint64(value uint64) *answer {
	a.wire = binary.BigEndian.AppendUint64(a.wire, value)
	return a
}

func (a *answer) text(value string) *answer {
	a.uint32(uint32(len(value)))
	a.wire = append(a.wire, value...)
	return a
}

func (a *answer) finished() []byte {
	binary.BigEndian.PutUint32(a.wire, uint32(len(a.wire)-4))
	return a.wire
}
