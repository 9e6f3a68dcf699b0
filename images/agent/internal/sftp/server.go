package sftp

import (
	"bufio"
	"errors"
	"io"
	"os"
	"syscall"
)

const protocolVersion = 3

// extensions are what OpenSSH's clients ask for by name, with the version of each.
var extensions = [][2]string{
	{"posix-rename@openssh.com", "1"},
	{"statvfs@openssh.com", "2"},
	{"fstatvfs@openssh.com", "2"},
	{"hardlink@openssh.com", "1"},
	{"fsync@openssh.com", "1"},
	{"lsetstat@openssh.com", "1"},
	{"limits@openssh.com", "1"},
	{"expand-path@openssh.com", "1"},
}

// server is one session. Requests are answered in the order they came, as many as were sent ahead.
type server struct {
	in      *bufio.Reader
	out     *bufio.Writer
	reply   answer
	cwd     string
	home    string
	handles handles
	people  people
}

// Serve speaks the protocol until the client ends it, which is no error. Paths that are not absolute begin where the
// process stands; `~` is home.
func Serve(in io.Reader, out io.Writer, home string) error {
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "/"
	}
	s := &server{in: bufio.NewReaderSize(in, maxPacket+4), out: bufio.NewWriterSize(out, 64<<10), cwd: cwd, home: home}
	defer s.handles.closeAll()
	err = s.serve()
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, s.out.Flush())
}

func (s *server) serve() error {
	buffer := make([]byte, maxPacket)
	for {
		if !ready(s.in) {
			if err := s.out.Flush(); err != nil {
				return err
			}
		}
		kind, p, err := readPacket(s.in, buffer)
		if err != nil {
			return err
		}
		if kind == typeInit {
			s.greet()
		} else {
			s.answer(kind, p)
		}
		if _, err := s.out.Write(s.reply.finished()); err != nil {
			return err
		}
	}
}

func (s *server) greet() {
	s.reply.begin(typeVersion).uint32(protocolVersion)
	for _, extension := range extensions {
		s.reply.text(extension[0]).text(extension[1])
	}
}

// answer leaves exactly one answer to a request in s.reply.
func (s *server) answer(kind byte, p *packet) {
	id := p.uint32()
	request, known := requests[kind]
	if !known {
		s.status(id, syscall.ENOSYS)
		return
	}
	if err := request(s, id, p); err != nil {
		s.status(id, err)
	}
}

// requests answer by writing s.reply, or by returning what went wrong; done answers "ok".
var requests map[byte]func(s *server, id uint32, p *packet) error

func init() {
	requests = map[byte]func(*server, uint32, *packet) error{
		typeOpen: (*server).open, typeClose: (*server).close, typeRead: (*server).read, typeWrite: (*server).write,
		typeLstat: (*server).lstat, typeStat: (*server).stat, typeFstat: (*server).fstat,
		typeSetstat: (*server).setstat, typeFsetstat: (*server).fsetstat,
		typeOpendir: (*server).opendir, typeReaddir: (*server).readdir,
		typeRemove: (*server).remove, typeMkdir: (*server).mkdir, typeRmdir: (*server).rmdir,
		typeRealpath: (*server).realpath, typeRename: (*server).rename,
		typeReadlink: (*server).readlink, typeSymlink: (*server).symlink, typeExtended: (*server).extended,
	}
}

func (s *server) status(id uint32, err error) {
	code, message := statusOf(err)
	s.reply.begin(typeStatus).uint32(id).uint32(code).text(message).text("")
}

// done answers "ok", or what went wrong.
func (s *server) done(id uint32, err error) error {
	if err == nil {
		s.status(id, nil)
	}
	return err
}

// whole refuses a packet that ended too early.
func (p *packet) whole() error {
	if p.bad {
		return syscall.EINVAL
	}
	return nil
}

// path reads a path; an empty one means where the session stands, as for OpenSSH.
func (p *packet) path() (string, error) {
	path := p.text()
	if path == "" {
		path = "."
	}
	return path, p.whole()
}

func (p *packet) twoPaths() (string, string, error) {
	first, second := p.text(), p.text()
	return first, second, p.whole()
}
