package files

import (
	"os"
	"syscall"
	"unsafe"

	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/vector"
)

// body is the content of a file that is being written.
//
// On an ext4 much of it goes past the cache (direct.go), from the memory it was read to: before it is seen it is to be on the disk anyway.
type body struct {
	file    *os.File
	written int64
	// past says that everything so far was written past the cache.
	past bool
	// memory says that the file is in memory, where writing waits for nothing.
	memory bool
}

func newBody(file *os.File) *body {
	kind := fileSystem(file)
	return &body{file: file, memory: kind == tmpfs, past: kind == ext4 && setDirect(file, true) == nil}
}

// receive writes the stream's input to its end.
func (b *body) receive(stream *mux.Stream) error {
	for {
		pieces := stream.Gather(batch, vector.Most)
		if len(pieces) == 0 {
			return nil
		}
		if err := b.write(pieces); err != nil {
			return err
		}
	}
}

func (b *body) write(pieces [][]byte) error {
	if fit := b.fit(pieces); fit > 0 {
		n, err := b.call(pieces[:fit])
		if err != nil && err != syscall.EINVAL && err != syscall.ENOSPC {
			return err
		}
		// What could not be written past the cache may still be written; if not, the ordinary way says why.
		b.written += int64(n)
		pieces = vector.After(pieces, n)
	}
	if b.past && len(pieces) > 0 {
		b.past = false
		if err := setDirect(b.file, false); err != nil {
			return err
		}
	}
	for len(pieces) > 0 {
		n, err := b.call(pieces)
		if err != nil {
			return err
		}
		b.written += int64(n)
		pieces = vector.After(pieces, n)
	}
	return nil
}

// fit returns how many of the pieces can be written past the cache, from the first on; none if they are too few to be worth it.
func (b *body) fit(pieces [][]byte) int {
	count, size := 0, 0
	for _, piece := range pieces {
		if len(piece)%aligned != 0 || uintptr(unsafe.Pointer(unsafe.SliceData(piece)))%aligned != 0 {
			break
		}
		count++
		size += len(piece)
	}
	if !b.past || size < batch {
		return 0
	}
	return count
}

// call writes what it can of the pieces.
func (b *body) call(pieces [][]byte) (int, error) {
	if b.memory {
		// See package nonblock.
		return vector.Write(syscall.RawSyscall, b.file.Fd(), pieces)
	}
	return vector.Write(syscall.Syscall, b.file.Fd(), pieces)
}
