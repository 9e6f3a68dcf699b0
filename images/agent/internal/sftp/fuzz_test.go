package sftp

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"testing"
)

// FuzzServer feeds a session that may touch nothing outside an empty directory: every path is relative to it or fails.
func FuzzServer(f *testing.F) {
	for kind := range requests {
		f.Add(request(kind).uint32(1).text("a").text("b").uint64(1 << 40).uint32(1 << 31).finished())
	}
	for _, extension := range extensions {
		f.Add(request(typeExtended).uint32(1).text(extension[0]).text("").text("x").finished())
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		// Only requests that read: what writes would do as it is told with any path of this machine.
		in := bufio.NewReaderSize(bytes.NewReader(wire), maxPacket+4)
		buffer := make([]byte, maxPacket)
		s := &server{out: bufio.NewWriter(io.Discard), cwd: t.TempDir(), home: "/"}
		defer s.handles.closeAll()
		for {
			kind, p, err := readPacket(in, buffer)
			if err != nil {
				return
			}
			if !harmless[kind] {
				p.take(4)
				p.path()
				p.attrs()
				continue
			}
			s.answer(kind, p)
			if len(s.reply.finished()) > maxPacket {
				t.Fatalf("an answer of %d bytes", len(s.reply.wire))
			}
		}
	})
}

var harmless = map[byte]bool{
	typeClose: true, typeRead: true, typeLstat: true, typeFstat: true, typeOpendir: true, typeReaddir: true,
	typeRealpath: true, typeStat: true, typeReadlink: true,
}

// FuzzPacket takes fields apart in any order; none may be longer than the packet.
func FuzzPacket(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x', 0x80, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, wire []byte) {
		p := &packet{rest: wire}
		if text := p.text(); len(text) > len(wire) {
			t.Fatal("longer than the packet")
		}
		p.attrs()
		p.byte()
		p.uint64()
		if p.bad && len(p.rest) != 0 {
			t.Fatal("a bad packet has a rest")
		}
	})
}

func TestMemoryOfASessionIsBounded(t *testing.T) {
	c := connect(t)
	path := t.TempDir() + "/f"
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	handle := c.openFile(path, openRead)
	_, p := c.ask(typeRead, func(a *answer) { a.text(handle).uint64(0).uint32(1<<32 - 1) })
	if got := p.bytes(); len(got) != maxData {
		t.Fatal(len(got))
	}
}
