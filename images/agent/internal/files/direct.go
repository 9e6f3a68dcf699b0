package files

import (
	"os"
	"syscall"
)

// Large files go between the disk and the port past the guest's page cache. On an emulated processor a page of the cache costs more than the
// disk does: to find one, to fill it, to write it out, to release it.

const (
	// batch is how many bytes go past the cache at once.
	batch = 512 << 10
	// aligned is what the address, the length and the place of such bytes are multiples of: pages, and blocks of ext4.
	aligned = 4096

	ext4  = 0xef53
	tmpfs = 0x01021994
)

// fileSystem returns the magic number of a file's file system; 0 when there is none to be had.
func fileSystem(file *os.File) int64 {
	var disk syscall.Statfs_t
	if syscall.Fstatfs(int(file.Fd()), &disk) != nil {
		return 0
	}
	return disk.Type
}

// setDirect says whether what is read and written next goes past the cache.
func setDirect(file *os.File, on bool) error {
	flags, _, failed := syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), syscall.F_GETFL, 0)
	if failed != 0 {
		return failed
	}
	flags &^= syscall.O_DIRECT
	if on {
		flags |= syscall.O_DIRECT
	}
	if _, _, failed = syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), syscall.F_SETFL, flags); failed != 0 {
		return failed
	}
	return nil
}
