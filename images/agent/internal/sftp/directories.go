package sftp

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"createos.local/agent/internal/users"
)

// batch is how many entries one answer may have; with their names of at most 255 bytes they stay below maxPacket.
const batch = 100

func (s *server) opendir(id uint32, p *packet) error {
	path, err := p.path()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return s.opened(id, &handle{directory: &listing{file: file, dots: []string{".", ".."}}})
}

func (s *server) readdir(id uint32, p *packet) error {
	_, found, err := s.handles.find(p.bytes())
	if err != nil {
		return err
	}
	if found.directory == nil {
		return syscall.EBADF
	}
	for {
		names, err := found.directory.next()
		if err != nil {
			return err
		}
		// An answer without names would be the end of the list for the client.
		if s.names(id, found.directory.file.Name(), names) > 0 {
			return nil
		}
	}
}

func (l *listing) next() ([]string, error) {
	if dots := l.dots; dots != nil {
		l.dots = nil
		return dots, nil
	}
	names, err := l.file.Readdirnames(batch)
	if len(names) > 0 {
		return names, nil
	}
	if err == nil {
		err = io.EOF
	}
	return nil, err
}

// names answers with the entries that are still there and returns how many those are.
func (s *server) names(id uint32, directory string, names []string) byte {
	now := time.Now()
	s.reply.begin(typeName).uint32(id).uint32(0)
	const countAt = 4 + 1 + 4
	count := byte(0)
	for _, name := range names {
		var st syscall.Stat_t
		if err := syscall.Lstat(directory+"/"+name, &st); err != nil {
			continue
		}
		count++
		s.reply.text(name).text(longName(name, &st, s.people.user(st.Uid), s.people.group(st.Gid), now)).stat(&st)
	}
	s.reply.wire[countAt+3] = count
	return count
}

// oneName answers with a path and no attributes.
func (s *server) oneName(id uint32, path string) error {
	s.reply.begin(typeName).uint32(id).uint32(1).text(path).text(path).uint32(0)
	return nil
}

func (s *server) realpath(id uint32, p *packet) error {
	path, err := p.path()
	if err != nil {
		return err
	}
	resolved, err := s.resolve(path)
	if err != nil {
		return err
	}
	return s.oneName(id, resolved)
}

// resolve makes a path absolute and free of links; its last part need not exist.
func (s *server) resolve(path string) (string, error) {
	path = s.absolute(path)
	resolved, err := filepath.EvalSymlinks(path)
	if !os.IsNotExist(err) {
		return resolved, err
	}
	if _, err := os.Lstat(path); err == nil {
		return filepath.Clean(path), nil
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(parent, filepath.Base(path)), err
}

// absolute does not clean: `..` after a link must be walked, not cut.
func (s *server) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return s.cwd + "/" + path
}

// people are the names of numbers, read from the image's files when first needed.
type people struct{ users, groups map[uint32]string }

func (p *people) user(id uint32) string {
	if p.users == nil {
		p.users = users.Names("/etc/passwd")
	}
	return nameOr(p.users, id)
}

func (p *people) group(id uint32) string {
	if p.groups == nil {
		p.groups = users.Names("/etc/group")
	}
	return nameOr(p.groups, id)
}

func nameOr(names map[uint32]string, id uint32) string {
	if name, ok := names[id]; ok {
		return name
	}
	return strconv.FormatUint(uint64(id), 10)
}
