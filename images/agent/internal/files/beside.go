package files

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	oTmpfile        = 0o20000000 | syscall.O_DIRECTORY
	atSymlinkFollow = 0x400
	atEmptyPath     = 0x1000
)

// The file systems whose files are doors into the kernel (magic numbers of statfs(2)).
var kernelTypes = map[int64]bool{
	0x9fa0:     true, // proc
	0x62656572: true, // sysfs
	0x27e0eb:   true, // cgroup
	0x63677270: true, // cgroup2
	0x64626720: true, // debugfs
	0x74726163: true, // tracefs
	0xcafe4a11: true, // bpf
	0x73636673: true, // securityfs
}

func kernels(directory *os.File) bool {
	var disk syscall.Statfs_t
	return syscall.Fstatfs(int(directory.Fd()), &disk) == nil && kernelTypes[int64(disk.Type)]
}

// openBeside opens the temporary file: one without a name where the file system can do that, so that not even a
// machine that loses its power leaves it behind.
func (t *target) openBeside() error {
	at := int(t.directory.Fd())
	const flags = syscall.O_WRONLY | syscall.O_CLOEXEC
	if fd, err := syscall.Openat(at, ".", oTmpfile|flags, 0o600); err == nil {
		t.file = os.NewFile(uintptr(fd), t.path)
		return nil
	}
	name := besideName()
	fd, err := syscall.Openat(at, name, flags|syscall.O_CREAT|syscall.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	t.beside, t.file = name, os.NewFile(uintptr(fd), t.path)
	return nil
}

// link gives the temporary file a name if it has none: only rename replaces.
func (t *target) link() error {
	if t.beside != "" {
		return nil
	}
	name := besideName()
	err := t.linkFrom("", atEmptyPath, name)
	if err != nil {
		// Only root may link a file by its descriptor alone.
		err = t.linkFrom("/proc/self/fd/"+strconv.Itoa(int(t.file.Fd())), atSymlinkFollow, name)
	}
	if err == nil {
		t.beside = name
	}
	return err
}

func (t *target) linkFrom(path string, flags uintptr, name string) error {
	from, err := syscall.BytePtrFromString(path)
	if err != nil {
		return err
	}
	to, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	_, _, number := syscall.Syscall6(syscall.SYS_LINKAT, t.file.Fd(), uintptr(unsafe.Pointer(from)),
		t.directory.Fd(), uintptr(unsafe.Pointer(to)), flags, 0)
	if number != 0 {
		return number
	}
	return nil
}

func besideName() string {
	var random [8]byte
	_, _ = rand.Read(random[:])
	return ".createos-" + hex.EncodeToString(random[:]) + ".part"
}
