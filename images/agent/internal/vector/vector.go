// Package vector writes several pieces with one system call.
package vector

import (
	"syscall"
	"unsafe"
)

// Most is how many pieces are written at once.
const Most = 16

// Call is syscall.Syscall or, where nothing can wait, syscall.RawSyscall.
type Call func(number, a, b, c uintptr) (uintptr, uintptr, syscall.Errno)

// Write writes what it can of the pieces, of which there is at least one, and returns how many bytes that was.
func Write(call Call, fd uintptr, pieces [][]byte) (int, error) {
	var vectors [Most]syscall.Iovec
	count := min(len(pieces), Most)
	for i, piece := range pieces[:count] {
		vectors[i].Base = unsafe.SliceData(piece)
		vectors[i].SetLen(len(piece))
	}
	return Again(func() (uintptr, uintptr, syscall.Errno) {
		return call(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vectors)), uintptr(count))
	})
}

// After returns what is left of the pieces without their first n bytes. It cuts the first one that is left in place.
func After(pieces [][]byte, n int) [][]byte {
	for len(pieces) > 0 && n >= len(pieces[0]) {
		n -= len(pieces[0])
		pieces = pieces[1:]
	}
	if n > 0 {
		pieces[0] = pieces[0][n:]
	}
	return pieces
}

// Again repeats a system call as long as it is interrupted.
func Again(call func() (uintptr, uintptr, syscall.Errno)) (int, error) {
	for {
		n, _, failed := call()
		if failed == 0 {
			return int(n), nil
		}
		if failed != syscall.EINTR {
			return 0, failed
		}
	}
}
