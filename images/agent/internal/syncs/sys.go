package syncs

import (
	"runtime"
	"syscall"
	"unsafe"
)

// What package syscall does not wrap: calls on a name in an open directory that never follow a symbolic link.
const (
	atSymlinkNoFollow = 0x100
	atRemoveDir       = 0x200
	renameNoReplace   = 1
	renameExchange    = 2
	longestTarget     = 4096
)

func call(trap uintptr, args [5]uintptr) (uintptr, error) {
	r, _, errno := syscall.Syscall6(trap, args[0], args[1], args[2], args[3], args[4], 0)
	if errno != 0 {
		return 0, errno
	}
	return r, nil
}

// withName gives do the name as C wants it; a NUL in it is EINVAL.
func withName(name string, do func(uintptr) (uintptr, error)) (uintptr, error) {
	text, err := syscall.BytePtrFromString(name)
	if err != nil {
		return 0, syscall.EINVAL
	}
	r, err := do(uintptr(unsafe.Pointer(text)))
	runtime.KeepAlive(text)
	return r, err
}

func statAt(dir int, name string) (syscall.Stat_t, error) {
	var stat syscall.Stat_t
	_, err := withName(name, func(text uintptr) (uintptr, error) {
		return call(sysFstatat, [5]uintptr{uintptr(dir), text, uintptr(unsafe.Pointer(&stat)), atSymlinkNoFollow})
	})
	return stat, err
}

func unlinkAt(dir int, name string, flags uintptr) error {
	_, err := withName(name, func(text uintptr) (uintptr, error) {
		return call(syscall.SYS_UNLINKAT, [5]uintptr{uintptr(dir), text, flags})
	})
	return err
}

func symlinkAt(target string, dir int, name string) error {
	_, err := withName(target, func(to uintptr) (uintptr, error) {
		return withName(name, func(text uintptr) (uintptr, error) {
			return call(syscall.SYS_SYMLINKAT, [5]uintptr{to, uintptr(dir), text})
		})
	})
	return err
}

func readlinkAt(dir int, name string) (string, error) {
	buffer := make([]byte, longestTarget)
	n, err := withName(name, func(text uintptr) (uintptr, error) {
		return call(syscall.SYS_READLINKAT, [5]uintptr{uintptr(dir), text, uintptr(unsafe.Pointer(&buffer[0])), longestTarget})
	})
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// renameAt is renameat2; file systems that know no flags answer EINVAL.
func renameAt(from int, name string, to int, target string, flags uintptr) error {
	_, err := withName(name, func(old uintptr) (uintptr, error) {
		return withName(target, func(new uintptr) (uintptr, error) {
			return call(sysRenameat2, [5]uintptr{uintptr(from), old, uintptr(to), new, flags})
		})
	})
	return err
}

// openAt opens without following a link in the last part and without waiting for the other end of a FIFO.
func openAt(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := syscall.Openat(dir, name, flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, mode)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}
