package sftp

import (
	"encoding/binary"
	"io"
	"os"
	"slices"
	"syscall"
)

// maxHandles is how many files and directories a session may have open.
const maxHandles = 1024

// Bits of an OPEN.
const (
	openRead      = 1 << 0
	openWrite     = 1 << 1
	openAppend    = 1 << 2
	openCreate    = 1 << 3
	openTruncate  = 1 << 4
	openExclusive = 1 << 5
)

// handle is an open file or directory.
type handle struct {
	fd        int
	append    bool
	directory *listing
}

// handles are found by number; a number is used again only after all others, so that a late request misses.
type handles struct {
	open map[uint32]*handle
	last uint32
}

func (h *handles) add(opened *handle) (uint32, error) {
	if len(h.open) >= maxHandles {
		opened.close()
		return 0, syscall.EMFILE
	}
	if h.open == nil {
		h.open = map[uint32]*handle{}
	}
	h.last++
	h.open[h.last] = opened
	return h.last, nil
}

func (h *handles) find(name []byte) (uint32, *handle, error) {
	if len(name) != 4 {
		return 0, nil, syscall.EBADF
	}
	number := binary.BigEndian.Uint32(name)
	if found := h.open[number]; found != nil {
		return number, found, nil
	}
	return 0, nil, syscall.EBADF
}

func (h *handles) closeAll() {
	for _, opened := range h.open {
		opened.close()
	}
}

func (h *handle) close() error {
	if h.directory != nil {
		return h.directory.file.Close()
	}
	return syscall.Close(h.fd)
}

// file reads a handle that must be a file's.
func (s *server) file(p *packet) (*handle, error) {
	_, found, err := s.handles.find(p.bytes())
	if err == nil && found.directory != nil {
		err = syscall.EBADF
	}
	return found, err
}

func (s *server) opened(id uint32, h *handle) error {
	number, err := s.handles.add(h)
	if err != nil {
		return err
	}
	s.reply.begin(typeHandle).uint32(id).uint32(4).uint32(number)
	return nil
}

func (s *server) open(id uint32, p *packet) error {
	path, err := p.path()
	bits, wanted := p.uint32(), p.attrs()
	if err != nil || p.bad {
		return syscall.EINVAL
	}
	var fd int
	err = again(func() (err error) {
		fd, err = syscall.Open(path, openFlags(bits)|syscall.O_CLOEXEC|syscall.O_NOCTTY, wanted.modeOr(0o666))
		return err
	})
	if err != nil {
		return err
	}
	return s.opened(id, &handle{fd: fd, append: bits&openAppend != 0})
}

func openFlags(bits uint32) int {
	flags := syscall.O_RDONLY
	switch {
	case bits&openRead != 0 && bits&openWrite != 0:
		flags = syscall.O_RDWR
	case bits&openWrite != 0:
		flags = syscall.O_WRONLY
	}
	for bit, flag := range map[uint32]int{
		openAppend: syscall.O_APPEND, openCreate: syscall.O_CREAT, openTruncate: syscall.O_TRUNC, openExclusive: syscall.O_EXCL,
	} {
		if bits&bit != 0 {
			flags |= flag
		}
	}
	return flags
}

func (s *server) close(id uint32, p *packet) error {
	number, found, err := s.handles.find(p.bytes())
	if err != nil {
		return err
	}
	delete(s.handles.open, number)
	return s.done(id, found.close())
}

// read puts the data straight into the answer: it is copied once.
func (s *server) read(id uint32, p *packet) error {
	found, err := s.file(p)
	offset, size := p.uint64(), p.uint32()
	if err != nil || p.bad {
		return orInvalid(err)
	}
	const head = 4 + 1 + 4 + 4
	size = min(size, maxData)
	s.reply.begin(typeData).uint32(id).uint32(0)
	s.reply.wire = slices.Grow(s.reply.wire, int(size))[:head+int(size)]
	var n int
	err = again(func() (err error) {
		n, err = syscall.Pread(found.fd, s.reply.wire[head:], int64(offset))
		return err
	})
	if err != nil {
		return err
	}
	if n == 0 {
		return io.EOF
	}
	s.reply.wire = s.reply.wire[:head+n]
	binary.BigEndian.PutUint32(s.reply.wire[head-4:], uint32(n))
	return nil
}

func (s *server) write(id uint32, p *packet) error {
	found, err := s.file(p)
	offset, data := p.uint64(), p.bytes()
	if err != nil || p.bad {
		return orInvalid(err)
	}
	return s.done(id, found.writeAll(data, int64(offset)))
}

func (h *handle) writeAll(data []byte, offset int64) error {
	for len(data) > 0 {
		var n int
		err := again(func() (err error) {
			if h.append {
				n, err = syscall.Write(h.fd, data)
			} else {
				n, err = syscall.Pwrite(h.fd, data, offset)
			}
			return err
		})
		if err != nil {
			return err
		}
		data, offset = data[n:], offset+int64(n)
	}
	return nil
}

func (s *server) fstat(id uint32, p *packet) error {
	fd, err := s.descriptor(p)
	if err != nil {
		return err
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return err
	}
	s.reply.begin(typeAttrs).uint32(id).stat(&st)
	return nil
}

func (s *server) fsetstat(id uint32, p *packet) error {
	fd, err := s.descriptor(p)
	wanted := p.attrs()
	if err != nil || p.bad {
		return orInvalid(err)
	}
	return s.done(id, apply(&wanted, changes{
		truncate: func(size int64) error { return syscall.Ftruncate(fd, size) },
		chmod:    func(mode uint32) error { return syscall.Fchmod(fd, mode) },
		utimes:   func(times []syscall.Timespec) error { return utimesOf(fd, "", times, atEmptyPath) },
		chown:    func(uid, gid int) error { return syscall.Fchown(fd, uid, gid) },
	}))
}

func (s *server) fsync(id uint32, p *packet) error {
	found, err := s.file(p)
	if err != nil {
		return err
	}
	return s.done(id, syscall.Fsync(found.fd))
}

// descriptor reads a handle of a file or a directory.
func (s *server) descriptor(p *packet) (int, error) {
	_, found, err := s.handles.find(p.bytes())
	if err != nil {
		return -1, err
	}
	if found.directory != nil {
		return int(found.directory.file.Fd()), nil
	}
	return found.fd, nil
}

func orInvalid(err error) error {
	if err != nil {
		return err
	}
	return syscall.EINVAL
}

// listing is a directory that is being read.
type listing struct {
	file *os.File
	dots []string
}
