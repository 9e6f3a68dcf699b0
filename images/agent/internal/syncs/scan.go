package syncs

import (
	"errors"
	"regexp"
	"strings"
	"syscall"
)

// mostEntries bounds what a scan keeps in memory; a larger tree is refused with the reason.
const mostEntries = 400_000

var (
	errTooMany = failed(codeUnsupported, "there are more than %d files and directories; exclude some", mostEntries)
	errGone    = errors.New("the host is gone")
)

// scanner walks a tree and tells only what is new since the walk before. A directory that is watched and quiet is not read again.
type scanner struct {
	tree  *tree
	skip  *regexp.Regexp
	watch *watcher
	emit  func(path string, e entry) bool
	known map[string]map[string]entry
	count int
	// Unwatched counts directories that no event will tell of.
	Unwatched int
}

// scan reports every difference through emit, parents before what is in them.
func (s *scanner) scan(full bool) error {
	dirty, all := s.watch.drain()
	s.count, s.Unwatched = 0, 0
	if !s.tree.isThere() {
		return failed(codeGone, "the directory %s is gone", s.tree.path)
	}
	root, err := s.tree.walk("")
	if err != nil {
		return err
	}
	defer syscall.Close(root)
	seen := map[string]bool{}
	if err := s.directory(root, "", dirty, full || all, seen); err != nil {
		return err
	}
	for path := range s.known {
		if !seen[path] && !s.listed(path) {
			delete(s.known, path)
			s.watch.remove(path)
		}
	}
	return nil
}

// listed says whether a directory was there when those above it were last read: one that has gone since is told, with all
// that was in it, by the next scan.
func (s *scanner) listed(path string) bool {
	if path == "" {
		return true
	}
	above, name := "", path
	if at := strings.LastIndexByte(path, '/'); at >= 0 {
		above, name = path[:at], path[at+1:]
	}
	return s.known[above][name].Kind == directory && s.listed(above)
}

func (s *scanner) directory(fd int, path string, dirty map[string]bool, full bool, seen map[string]bool) error {
	seen[path] = true
	watched := s.watch.add(fd, path)
	if !watched {
		s.Unwatched++
	}
	before, read := s.known[path]
	if full || !read || !watched || dirty[path] {
		now, err := s.read(fd, path)
		if err != nil {
			return err
		}
		s.known[path] = now
		if !s.differences(path, before, now) {
			return errGone
		}
	}
	s.count += len(s.known[path])
	if s.count > mostEntries {
		return errTooMany
	}
	return s.descend(fd, path, dirty, full, seen)
}

func (s *scanner) descend(fd int, path string, dirty map[string]bool, full bool, seen map[string]bool) error {
	for name, e := range s.known[path] {
		if e.Kind != directory {
			continue
		}
		below, err := openAt(fd, name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err == syscall.ENOENT || err == syscall.ENOTDIR || err == syscall.ELOOP {
			// Gone or replaced since it was listed: the next scan tells.
			continue
		}
		if err != nil {
			// It cannot be read, so it must not look empty.
			e.Kind = other
			s.known[path][name] = e
			if !s.emit(join(path, name), e) {
				return errGone
			}
			continue
		}
		err = s.directory(below, join(path, name), dirty, full, seen)
		_ = syscall.Close(below)
		if err != nil {
			return err
		}
	}
	return nil
}

// read lists a directory; directories of other file systems and those that are too deep are told as other.
func (s *scanner) read(fd int, path string) (map[string]entry, error) {
	names, err := list(fd)
	if err != nil {
		return nil, err
	}
	if len(names) > mostEntries {
		return nil, errTooMany
	}
	found := make(map[string]entry, len(names))
	for _, name := range names {
		full := join(path, name)
		stat, err := statAt(fd, name)
		if err != nil || !clean(full) || s.skipped(full, stat.Mode&syscall.S_IFMT == syscall.S_IFDIR) {
			continue
		}
		e := describe(&stat)
		if e.Kind == directory && (uint64(stat.Dev) != s.tree.device || strings.Count(full, "/")+1 == deepestPath) {
			e.Kind = other
		}
		if e.Kind == symlink {
			if e.Target, err = readlinkAt(fd, name); err != nil {
				continue
			}
		}
		if e.Kind == directory {
			e.Version = version{}
		}
		found[name] = e
	}
	return found, nil
}

func (s *scanner) skipped(path string, isDirectory bool) bool {
	if s.skip == nil {
		return false
	}
	if isDirectory {
		path += "/"
	}
	return s.skip.MatchString(path)
}

func (s *scanner) differences(path string, before, now map[string]entry) bool {
	for name := range before {
		if now[name].Kind != before[name].Kind && !s.gone(join(path, name), before[name]) {
			return false
		}
	}
	for name, e := range now {
		if before[name] != e && !s.emit(join(path, name), e) {
			return false
		}
	}
	return true
}

// gone reports that a path, and everything that was below it, is no longer there.
func (s *scanner) gone(path string, e entry) bool {
	if e.Kind == directory {
		for name, below := range s.known[path] {
			if !s.gone(join(path, name), below) {
				return false
			}
		}
		delete(s.known, path)
		s.watch.remove(path)
	}
	return s.emit(path, entry{})
}

func join(directory, name string) string {
	if directory == "" {
		return name
	}
	return directory + "/" + name
}

// compile joins the host's patterns; each is matched against a path, which ends in a slash when it is a directory.
func compile(patterns []string) (*regexp.Regexp, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	return regexp.Compile("(?s)^(?:" + strings.Join(patterns, "|") + ")$")
}
