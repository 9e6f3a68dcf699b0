package sftp

import (
	"os"
	"syscall"
	"unsafe"
)

const (
	atFdCwd     = -0x64
	atNoFollow  = 0x100
	atEmptyPath = 0x1000
	oPath       = 0x200000

	longestLink = 4096
)

func (s *server) lstat(id uint32, p *packet) error { return s.statWith(id, p, syscall.Lstat) }

func (s *server) stat(id uint32, p *packet) error { return s.statWith(id, p, syscall.Stat) }

func (s *server) statWith(id uint32, p *packet, look func(string, *syscall.Stat_t) error) error {
	path, err := p.path()
	if err != nil {
		return err
	}
	var st syscall.Stat_t
	if err := look(path, &st); err != nil {
		return err
	}
	s.reply.begin(typeAttrs).uint32(id).stat(&st)
	return nil
}

// changes are the ways to change one file; nil stands for what that kind of request cannot do.
type changes struct {
	truncate func(int64) error
	chmod    func(uint32) error
	utimes   func([]syscall.Timespec) error
	chown    func(uid, gid int) error
}

// apply does all that is wanted and returns the last failure, as OpenSSH's server does.
func apply(wanted *attrs, to changes) (failed error) {
	try := func(bit uint32, change func() error) {
		if wanted.has&bit != 0 {
			if err := change(); err != nil {
				failed = err
			}
		}
	}
	try(hasSize, func() error { return to.truncate(int64(wanted.size)) })
	try(hasMode, func() error { return to.chmod(wanted.mode & permissionBits) })
	try(hasTimes, func() error { return to.utimes(wanted.timevals()) })
	try(hasOwner, func() error { return to.chown(int(wanted.uid), int(wanted.gid)) })
	return failed
}

func (s *server) setstat(id uint32, p *packet) error {
	path, err := p.path()
	wanted := p.attrs()
	if err != nil || p.bad {
		return syscall.EINVAL
	}
	return s.done(id, apply(&wanted, changes{
		truncate: func(size int64) error { return syscall.Truncate(path, size) },
		chmod:    func(mode uint32) error { return syscall.Chmod(path, mode) },
		utimes:   func(times []syscall.Timespec) error { return utimesOf(atFdCwd, path, times, 0) },
		chown:    func(uid, gid int) error { return syscall.Chown(path, uid, gid) },
	}))
}

// lsetstat changes a link itself. Its mode cannot be changed, as on any Linux.
func (s *server) lsetstat(id uint32, p *packet) error {
	path, err := p.path()
	wanted := p.attrs()
	if err != nil || p.bad {
		return syscall.EINVAL
	}
	return s.done(id, apply(&wanted, changes{
		truncate: func(int64) error { return syscall.EINVAL },
		chmod:    func(mode uint32) error { return chmodNoFollow(path, mode) },
		utimes:   func(times []syscall.Timespec) error { return utimesOf(atFdCwd, path, times, atNoFollow) },
		chown:    func(uid, gid int) error { return syscall.Lchown(path, uid, gid) },
	}))
}

// chmodNoFollow goes through a descriptor that has been looked at, so that no link can be put in between.
func chmodNoFollow(path string, mode uint32) error {
	fd, err := syscall.Open(path, oPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFLNK {
		return syscall.EOPNOTSUPP
	}
	return syscall.Chmod(descriptorPath(fd), mode)
}

func utimesOf(directory int, path string, times []syscall.Timespec, flags int) error {
	if flags == atEmptyPath {
		directory, path, flags = atFdCwd, descriptorPath(directory), 0
	}
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall6(syscall.SYS_UTIMENSAT, uintptr(directory),
		uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&times[0])), uintptr(flags), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (s *server) remove(id uint32, p *packet) error {
	path, err := p.path()
	if err != nil {
		return err
	}
	return s.done(id, syscall.Unlink(path))
}

func (s *server) mkdir(id uint32, p *packet) error {
	path, err := p.path()
	wanted := p.attrs()
	if err != nil || p.bad {
		return syscall.EINVAL
	}
	return s.done(id, syscall.Mkdir(path, wanted.modeOr(0o777)))
}

func (s *server) rmdir(id uint32, p *packet) error {
	path, err := p.path()
	if err != nil {
		return err
	}
	return s.done(id, syscall.Rmdir(path))
}

// rename does not replace what is there: version 3 forbids it. posix-rename does.
func (s *server) rename(id uint32, p *packet) error {
	from, to, err := p.twoPaths()
	if err != nil {
		return err
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(from, &st); err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFREG {
		err := linkThenUnlink(from, to)
		if err != syscall.EOPNOTSUPP && err != syscall.ENOSYS && err != syscall.EXDEV && err != syscall.EPERM {
			return s.done(id, err)
		}
	}
	if syscall.Lstat(to, &st) == nil {
		return syscall.EEXIST
	}
	return s.done(id, syscall.Rename(from, to))
}

func linkThenUnlink(from, to string) error {
	if err := syscall.Link(from, to); err != nil {
		return err
	}
	err := syscall.Unlink(from)
	if err != nil {
		_ = syscall.Unlink(to)
	}
	return err
}

func (s *server) posixRename(id uint32, p *packet) error {
	from, to, err := p.twoPaths()
	if err != nil {
		return err
	}
	return s.done(id, syscall.Rename(from, to))
}

func (s *server) readlink(id uint32, p *packet) error {
	path, err := p.path()
	if err != nil {
		return err
	}
	target, err := os.Readlink(path)
	if err == nil && len(target) > longestLink {
		err = syscall.ENAMETOOLONG
	}
	if err != nil {
		return err
	}
	return s.oneName(id, target)
}

// symlink gets its paths in the order of OpenSSH, which is not the draft's: target, then link.
func (s *server) symlink(id uint32, p *packet) error {
	target, link, err := p.twoPaths()
	if err != nil {
		return err
	}
	return s.done(id, syscall.Symlink(target, link))
}

func (s *server) hardlink(id uint32, p *packet) error {
	from, to, err := p.twoPaths()
	if err != nil {
		return err
	}
	return s.done(id, syscall.Link(from, to))
}
