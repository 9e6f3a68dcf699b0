// Package pty makes pseudo terminals with system calls alone: a static program has no openpty, and images no libc.
package pty

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// ioctl numbers of asm-generic/ioctls.h that package syscall does not name; they are the same on amd64 and arm64.
const (
	tiocgptn    = 0x80045430
	tiocsptlck  = 0x40045431
	tiocgptpeer = 0x5441
)

// Size is what programs ask the terminal for, in characters.
type Size struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// Default is the size of a terminal that nobody gave one.
var Default = Size{Rows: 24, Cols: 80}

// OrDefault fills in what is missing.
func (s Size) OrDefault() Size {
	if s.Rows == 0 {
		s.Rows = Default.Rows
	}
	if s.Cols == 0 {
		s.Cols = Default.Cols
	}
	return s
}

// Terminal is our side of a pseudo terminal: what programs print is read here, what is written here is typed.
type Terminal struct{ *os.File }

// Open returns a terminal of that size and the side that programs get, which belongs to uid.
func Open(size Size, uid int) (Terminal, *os.File, error) {
	master, err := openMaster()
	if err != nil {
		return Terminal{}, nil, err
	}
	terminal := Terminal{master}
	slave, err := terminal.peer()
	if err == nil {
		err = terminal.Resize(size)
	}
	if err != nil {
		_ = master.Close()
		return Terminal{}, nil, err
	}
	// As login does it: the terminal is the user's, not root's. On a file system without owners it stays as it is.
	_ = slave.Chown(uid, -1)
	return terminal, slave, nil
}

func openMaster() (*os.File, error) {
	var first error
	for _, path := range []string{"/dev/ptmx", "/dev/pts/ptmx"} {
		master, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err == nil {
			return master, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// peer opens the other side, by its descriptor where the kernel can (4.13), else by its name.
func (t Terminal) peer() (*os.File, error) {
	unlocked := int32(0)
	if err := t.ioctl(tiocsptlck, unsafe.Pointer(&unlocked)); err != nil {
		return nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	var number uint32
	if err := t.ioctl(tiocgptn, unsafe.Pointer(&number)); err != nil {
		return nil, fmt.Errorf("number of the terminal: %w", err)
	}
	name := fmt.Sprintf("/dev/pts/%d", number)
	fd := uintptr(0)
	err := t.control(func(master uintptr) (errno syscall.Errno) {
		fd, _, errno = syscall.Syscall(syscall.SYS_IOCTL, master, tiocgptpeer, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC)
		return errno
	})
	if err == nil {
		return os.NewFile(fd, name), nil
	}
	return os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
}

// Resize tells the terminal its size; the kernel sends SIGWINCH to the foreground when it is another.
func (t Terminal) Resize(size Size) error {
	window := struct{ rows, cols, x, y uint16 }{rows: size.Rows, cols: size.Cols}
	return t.ioctl(syscall.TIOCSWINSZ, unsafe.Pointer(&window))
}

// Foreground returns the process group that the keyboard belongs to, 0 when there is none.
func (t Terminal) Foreground() int {
	var group int32
	if err := t.ioctl(syscall.TIOCGPGRP, unsafe.Pointer(&group)); err != nil {
		return 0
	}
	return int(group)
}

// Drain returns what was printed and not read yet, at most limit bytes, without waiting for more.
func (t Terminal) Drain(limit int) []byte { return Drain(t.File, limit) }

// Drain returns what waits in a pipe or terminal, at most limit bytes, without waiting for more.
func Drain(file *os.File, limit int) []byte {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil
	}
	var all []byte
	buffer := make([]byte, 32<<10)
	_ = raw.Control(func(fd uintptr) {
		for len(all) < limit {
			n, err := syscall.Read(int(fd), buffer[:min(len(buffer), limit-len(all))])
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 {
				return
			}
			all = append(all, buffer[:n]...)
		}
	})
	return all
}

func (t Terminal) ioctl(request uintptr, argument unsafe.Pointer) error {
	return t.control(func(fd uintptr) syscall.Errno {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument))
		return errno
	})
}

// control uses the descriptor without taking it away from the runtime's poller, as File.Fd would.
func (t Terminal) control(act func(fd uintptr) syscall.Errno) error {
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) { errno = act(fd) }); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}
