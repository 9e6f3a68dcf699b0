package files

import (
	"errors"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"createos.local/agent/internal/vector"
)

// preadv2 and its flag for reading only what is there at once: package syscall does not name them.
var preadv2 = map[string]uintptr{"amd64": 327, "arm64": 286}[runtime.GOARCH]

const nowait = 0x8

// origin is a file that is read from its beginning to its end: what of an ext4 is in the page cache from there, and past it (direct.go) from the
// first byte on that is not.
type origin struct {
	file *os.File
	// kind is the file system, as long as its own way is used.
	kind int64
	// past says that the file is read past the cache.
	past bool
}

func newOrigin(file *os.File) *origin { return &origin{file: file, kind: fileSystem(file)} }

// Read needs a buffer that begins at a page and has whole pages.
func (o *origin) Read(buffer []byte) (int, error) {
	switch o.kind {
	case tmpfs:
		return ending(vector.Again(func() (uintptr, uintptr, syscall.Errno) {
			return syscall.RawSyscall(syscall.SYS_READ, o.file.Fd(), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
		}))
	case ext4:
		n, err := o.cached(buffer)
		if err == nil {
			return ending(n, nil)
		}
		o.kind = 0
		o.past = err == syscall.EAGAIN && setDirect(o.file, true) == nil
	}
	n, err := o.file.Read(buffer)
	if o.past && errors.Is(err, syscall.EINVAL) {
		// Somebody changes it, and its end was not at a page: the ordinary way goes on from there.
		o.past = false
		if err = setDirect(o.file, false); err == nil {
			n, err = o.file.Read(buffer)
		}
	}
	return n, err
}

// cached reads what is in the page cache; EAGAIN when the next byte is not.
func (o *origin) cached(buffer []byte) (int, error) {
	into := syscall.Iovec{Base: &buffer[0]}
	into.SetLen(len(buffer))
	const here = ^uintptr(0)
	return vector.Again(func() (uintptr, uintptr, syscall.Errno) {
		return syscall.RawSyscall6(preadv2, o.file.Fd(), uintptr(unsafe.Pointer(&into)), 1, here, here, nowait)
	})
}

func ending(n int, err error) (int, error) {
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return n, err
}
