package mounts

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// A cover lies at the place of a disk from its first mount to its unmount, beneath s3fs: what writes while the disk is away is
// refused, and nothing comes to lie where the disk would hide it.
const (
	coverSource = "createos-disk"
	coverKind   = "tmpfs"
	coverFlags  = syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
	// Room for its own directory.
	coverData = "mode=0555,size=4k,nr_inodes=1"
)

func (p point) covers() bool { return p.kind == coverKind && p.source == coverSource }

// cover makes a place that of a mount and covers it, unless a cover that nobody else has is there.
func (s *Server) cover(m *mount, place string) *failure {
	if m.place != place {
		s.uncover(m)
	}
	if !s.claim(m, place) {
		return &failure{"bad_path", fmt.Errorf("another disk is mounted at %s", place)}
	}
	m.place = place
	if point, mounted := s.System.at(place); mounted && point.covers() {
		return nil
	}
	// Opened before, it shows what is beneath the cover.
	beneath, err := os.Open(s.System.file(place))
	if err != nil {
		return &failure{"bad_path", err}
	}
	defer beneath.Close()
	if err := s.System.Mount(coverSource, s.System.file(place), coverKind, coverFlags, coverData); err != nil {
		return &failure{"failed", fmt.Errorf("mount %s: %w", coverKind, err)}
	}
	if err := empty(beneath, place); err != nil {
		s.uncover(m)
		return &failure{"bad_path", err}
	}
	return nil
}

// uncover gives up the place of a mount that has ended. Its s3fs may still be about to leave the tree.
func (s *Server) uncover(m *mount) {
	if m.place == "" {
		return
	}
	top, mounted := s.System.at(m.place)
	for end := time.Now().Add(detachWait); mounted && top.kind == kind && time.Now().Before(end); {
		time.Sleep(poll)
		top, mounted = s.System.at(m.place)
	}
	if mounted && top.covers() {
		s.detach(m.place)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.places, m.place)
	m.place = ""
}

// claim makes a place that of a mount unless it is another's: two paths may lead to it.
func (s *Server) claim(m *mount, place string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places == nil {
		s.places = map[string]*mount{}
	}
	if owner := s.places[place]; owner != nil && owner != m {
		return false
	}
	s.places[place] = m
	return true
}

// rest keeps a mount that has ended and its cover when the host will want it again; nothing is left of another one.
func (s *Server) rest(m *mount) {
	if !m.known.Load() || m.abandoned() {
		s.drop(m)
	}
}

// drop takes away what is left of a mount that has ended.
func (s *Server) drop(m *mount) {
	s.uncover(m)
	s.forget(m)
}

func empty(directory *os.File, target string) error {
	if _, err := directory.Readdirnames(1); err != io.EOF {
		return fmt.Errorf("the directory %s is not empty: a disk would hide what is in it", target)
	}
	return nil
}
