package syncs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stagingName is where half-written files wait, below the root; the scan leaves it out on both sides.
const stagingName = ".createos-sync-tmp"

// kernels are the first parts of paths whose files are no files.
var kernels = []string{"proc", "sys", "dev"}

// guarded are, by what a stream is for, the first parts of paths that it keeps away from, whatever links lead there: a
// synchronisation from everything that belongs to the system (cli-behaviour 6.3), a copy from what the kernel shows.
var guarded = map[string][]string{
	"":     systems,
	"sync": systems,
	"copy": kernels,
}

var systems = append([]string{"", "etc", "usr", "bin", "sbin", "lib", "lib64", "boot", "run"}, kernels...)

// tree is a directory that nothing leaves: every path is walked from its descriptor, and no link on the way is followed.
type tree struct {
	path     string
	root     int
	device   uint64
	owner    *owner
	staging  int
	mine     string
	lastPath string
	last     int
}

// owner is whom new files belong to; nil leaves them to root.
type owner struct{ uid, gid int }

// openTree opens the directory path; with create it and its parents are made when missing.
func openTree(path string, create bool, who *owner, mine string, guarded []string) (*tree, error) {
	if !filepath.IsAbs(path) {
		return nil, failed(codeBadPath, "%s is not an absolute path", path)
	}
	if create {
		if err := makeAll(path, who); err != nil {
			return nil, fmt.Errorf("cannot create %s: %w", path, err)
		}
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	if first, _, _ := strings.Cut(strings.TrimPrefix(real, "/"), "/"); slices.Contains(guarded, first) {
		return nil, failed(codeBadPath, "%s is %s, which no files are brought to or taken from", path, real)
	}
	root, err := syscall.Open(real, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", real, err)
	}
	var stat syscall.Stat_t
	if err := syscall.Fstat(root, &stat); err != nil {
		_ = syscall.Close(root)
		return nil, err
	}
	return &tree{path: real, root: root, device: uint64(stat.Dev), owner: who, staging: -1, mine: mine, last: -1}, nil
}

// makeAll makes a directory and its parents; those it made belong to who.
func makeAll(path string, who *owner) error {
	if _, err := os.Stat(path); err == nil || path == "/" {
		return err
	}
	if err := makeAll(filepath.Dir(path), who); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if who == nil {
		return nil
	}
	return os.Chown(path, who.uid, who.gid)
}

func (t *tree) close() {
	t.forget()
	if t.staging >= 0 {
		_ = syscall.Close(t.staging)
		removeBelow(t.root, stagingName+"/"+t.mine)
		_ = unlinkAt(t.root, stagingName, atRemoveDir)
		t.staging = -1
	}
	_ = syscall.Close(t.root)
}

// isThere says whether the root is still the directory that was opened.
func (t *tree) isThere() bool {
	var opened, now syscall.Stat_t
	return syscall.Fstat(t.root, &opened) == nil && syscall.Lstat(t.path, &now) == nil && opened.Ino == now.Ino && opened.Dev == now.Dev
}

// forget drops the directory that was walked to last: it may be another one soon.
func (t *tree) forget() {
	if t.last >= 0 {
		_ = syscall.Close(t.last)
	}
	t.last, t.lastPath = -1, ""
}

// parent opens the directory that holds path and returns the last part. The descriptor stays the tree's.
func (t *tree) parent(path string) (int, string, error) {
	if !clean(path) {
		return -1, "", failed(codeBadPath, "%q is not a path below the root", path)
	}
	cut := strings.LastIndexByte(path, '/')
	if cut < 0 {
		return t.root, path, nil
	}
	if t.last >= 0 && t.lastPath == path[:cut] {
		return t.last, path[cut+1:], nil
	}
	fd, err := t.walk(path[:cut])
	if err != nil {
		return -1, "", err
	}
	t.forget()
	t.last, t.lastPath = fd, path[:cut]
	return fd, path[cut+1:], nil
}

// walk opens a directory below the root, part by part; the caller closes it.
func (t *tree) walk(path string) (int, error) {
	fd, err := syscall.Dup(t.root)
	if err != nil || path == "" {
		return fd, err
	}
	for _, part := range strings.Split(path, "/") {
		next, err := openAt(fd, part, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		_ = syscall.Close(fd)
		if err != nil {
			return -1, err
		}
		var stat syscall.Stat_t
		if err := syscall.Fstat(next, &stat); err != nil || uint64(stat.Dev) != t.device {
			_ = syscall.Close(next)
			return -1, failed(codeUnsupported, "%s is on another file system", path)
		}
		fd = next
	}
	return fd, nil
}

// stage returns the directory for half-written files, made when first needed.
func (t *tree) stage() (int, error) {
	if t.staging >= 0 {
		return t.staging, nil
	}
	for _, part := range []string{stagingName, stagingName + "/" + t.mine} {
		if err := syscall.Mkdirat(t.root, part, 0o700); err != nil && err != syscall.EEXIST {
			return -1, err
		}
	}
	fd, err := t.walk(stagingName + "/" + t.mine)
	if err == nil {
		t.staging = fd
	}
	return fd, err
}

// sweep removes what earlier streams left half-written, as long as no other stream may still be using it.
func (t *tree) sweep(inUse map[string]bool) {
	fd, err := t.walk(stagingName)
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	names, _ := list(fd)
	for _, name := range names {
		if !inUse[name] {
			removeBelow(fd, name)
		}
	}
	_ = unlinkAt(t.root, stagingName, atRemoveDir)
}

// removeBelow removes a directory of plain files; nothing in it is followed.
func removeBelow(dir int, name string) {
	if fd, err := openAt(dir, name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0); err == nil {
		names, _ := list(fd)
		for _, each := range names {
			_ = unlinkAt(fd, each, 0)
		}
		_ = syscall.Close(fd)
	}
	if unlinkAt(dir, name, atRemoveDir) != nil {
		_ = unlinkAt(dir, name, 0)
	}
}

// list returns the names in an open directory, at most mostEntries+1 of them. The descriptor stays open.
func list(fd int) ([]string, error) {
	again, err := openAt(fd, ".", syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	reading := os.NewFile(uintptr(again), "directory")
	defer reading.Close()
	names, err := reading.Readdirnames(mostEntries + 1)
	if len(names) == 0 {
		return nil, nil
	}
	return names, err
}

// look returns what a name in an open directory is; a missing one is absent.
func look(dir int, name string) (entry, error) {
	stat, err := statAt(dir, name)
	if err == syscall.ENOENT {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, err
	}
	found := describe(&stat)
	if found.Kind == symlink {
		found.Target, err = readlinkAt(dir, name)
	}
	return found, err
}

func describe(stat *syscall.Stat_t) entry {
	e := entry{Kind: other, Mode: uint16(stat.Mode & 0o777)}
	switch stat.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		e.Kind = file
	case syscall.S_IFDIR:
		e.Kind = directory
	case syscall.S_IFLNK:
		e.Kind = symlink
	}
	e.Version = version{uint64(stat.Size), nanoseconds(stat.Mtim), nanoseconds(stat.Ctim), stat.Ino}
	return e
}

func nanoseconds(t syscall.Timespec) int64 { return int64(t.Sec)*int64(time.Second) + int64(t.Nsec) }

// clean says whether a path is relative, inside, and not ours.
func clean(path string) bool {
	if path == "" || len(path) > longestPath || strings.Contains(path, "\x00") {
		return false
	}
	parts := strings.Split(path, "/")
	for _, part := range parts {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			return false
		}
	}
	return len(parts) <= deepestPath && parts[0] != stagingName
}
