package sftp

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"createos.local/agent/internal/users"
)

// Bits of f_flag in a statvfs answer.
const (
	vfsReadOnly = 1
	vfsNoSetuid = 2

	mountReadOnly = 1
	mountNoSetuid = 2
)

func (s *server) extended(id uint32, p *packet) error {
	switch p.text() {
	case "posix-rename@openssh.com":
		return s.posixRename(id, p)
	case "statvfs@openssh.com":
		return s.statvfs(id, p)
	case "fstatvfs@openssh.com":
		return s.fstatvfs(id, p)
	case "hardlink@openssh.com":
		return s.hardlink(id, p)
	case "fsync@openssh.com":
		return s.fsync(id, p)
	case "lsetstat@openssh.com":
		return s.lsetstat(id, p)
	case "limits@openssh.com":
		s.reply.begin(typeReply).uint32(id).uint64(maxPacket).uint64(maxData).uint64(maxData).uint64(maxHandles)
		return nil
	case "expand-path@openssh.com":
		return s.expandPath(id, p)
	}
	return syscall.ENOSYS
}

func (s *server) statvfs(id uint32, p *packet) error {
	path, err := p.path()
	if err != nil {
		return err
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return err
	}
	s.fileSystem(id, &fs)
	return nil
}

func (s *server) fstatvfs(id uint32, p *packet) error {
	fd, err := s.descriptor(p)
	if err != nil {
		return err
	}
	var fs syscall.Statfs_t
	if err := syscall.Fstatfs(fd, &fs); err != nil {
		return err
	}
	s.fileSystem(id, &fs)
	return nil
}

func (s *server) fileSystem(id uint32, fs *syscall.Statfs_t) {
	flags := uint64(0)
	if fs.Flags&mountReadOnly != 0 {
		flags |= vfsReadOnly
	}
	if fs.Flags&mountNoSetuid != 0 {
		flags |= vfsNoSetuid
	}
	number := uint64(uint32(fs.Fsid.X__val[0])) | uint64(uint32(fs.Fsid.X__val[1]))<<32
	s.reply.begin(typeReply).uint32(id)
	for _, value := range []uint64{
		uint64(fs.Bsize), uint64(fs.Frsize), fs.Blocks, fs.Bfree, fs.Bavail, fs.Files, fs.Ffree, fs.Ffree,
		number, flags, uint64(fs.Namelen),
	} {
		s.reply.uint64(value)
	}
}

// expandPath replaces `~` and `~name`, and makes the path absolute; scp asks for it.
func (s *server) expandPath(id uint32, p *packet) error {
	path, err := p.path()
	if err != nil {
		return err
	}
	if strings.HasPrefix(path, "~") {
		who, rest, _ := strings.Cut(path[1:], "/")
		home := s.home
		if who != "" {
			user, err := users.Find("/", who)
			if err != nil {
				return syscall.ENOENT
			}
			home = user.Home
		}
		path = strings.TrimSuffix(home+"/"+rest, "/")
		if path == "" {
			path = "/"
		}
	}
	return s.oneName(id, s.absolute(path))
}

func descriptorPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Home is where `~` points: the variable that started this process says so.
func Home() string {
	if home := os.Getenv("HOME"); home != "" {
		return home
	}
	return "/"
}
