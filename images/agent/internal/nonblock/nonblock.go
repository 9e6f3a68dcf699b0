// Package nonblock reads and writes descriptors that never block, without telling the scheduler.
//
// Around an ordinary system call the runtime expects to wait: on a slow machine with one processor its watcher takes the processor away from
// a call that is just copying, which wakes one thread and parks another. Nothing here can wait, so nothing is to be gained by that.
package nonblock

import (
	"io"
	"syscall"
	"unsafe"

	"createos.local/agent/internal/vector"
)

// Read waits until a descriptor has something and returns that; io.EOF at its end.
func Read(raw syscall.RawConn, buffer []byte) (int, error) {
	var n int
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		n, failed = call(syscall.SYS_READ, fd, buffer)
		return failed != syscall.EAGAIN
	})
	if err == nil {
		err = failed
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

// Write writes everything, waiting as long as it takes.
func Write(raw syscall.RawConn, data []byte) (int, error) { return WriteAll(raw, [][]byte{data}) }

// WriteAll is Write for several pieces, with as few system calls as it can: whoever reads at the other end wakes up less often. It may change
// the pieces' slice.
func WriteAll(raw syscall.RawConn, pieces [][]byte) (int, error) {
	written := 0
	var failed error
	err := raw.Write(func(fd uintptr) bool {
		for pieces = vector.After(pieces, 0); len(pieces) > 0; {
			n, err := vector.Write(syscall.RawSyscall, fd, pieces)
			if err == syscall.EAGAIN {
				return false
			}
			if failed = err; err != nil {
				return true
			}
			written += n
			pieces = vector.After(pieces, n)
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return written, err
}

// Once reads what is there now: syscall.EAGAIN when there is nothing, 0 at the end.
func Once(fd uintptr, buffer []byte) (int, error) { return call(syscall.SYS_READ, fd, buffer) }

func call(number, fd uintptr, data []byte) (int, error) {
	if len(data) == 0 {
		return 0, nil
	}
	return vector.Again(func() (uintptr, uintptr, syscall.Errno) {
		return syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)))
	})
}
