// Package disk makes file systems as large as their disks.
package disk

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"
)

const (
	ext4ResizeFS     = 0x40086610 // EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64), linux/fs/ext4/ext4.h
	superblockOffset = 1024
	superblockSize   = 1024
	ext4Magic        = 0xEF53
)

// Grow makes the mounted ext4 file system as large as its device. Nothing is done when it is already.
func Grow(device, mounted string) error {
	file, err := os.Open(device)
	if err != nil {
		return err
	}
	defer file.Close()
	bytes, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	super := make([]byte, superblockSize)
	if _, err := file.ReadAt(super, superblockOffset); err != nil {
		return err
	}
	blocks, blockSize, err := geometry(super)
	if err != nil {
		return err
	}
	wanted := uint64(bytes) / blockSize
	if wanted <= blocks {
		return nil
	}
	root, err := os.Open(mounted)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, root.Fd(), ext4ResizeFS, uintptr(unsafe.Pointer(&wanted))); errno != 0 {
		return fmt.Errorf("grow from %d to %d blocks: %w", blocks, wanted, errno)
	}
	return nil
}

// geometry reads the number of blocks and their size in bytes from an ext4 superblock.
func geometry(super []byte) (blocks, blockSize uint64, err error) {
	if binary.LittleEndian.Uint16(super[0x38:]) != ext4Magic {
		return 0, 0, fmt.Errorf("not an ext4 file system")
	}
	low, high := binary.LittleEndian.Uint32(super[0x4:]), binary.LittleEndian.Uint32(super[0x150:])
	return uint64(high)<<32 | uint64(low), 1024 << binary.LittleEndian.Uint32(super[0x18:]), nil
}
