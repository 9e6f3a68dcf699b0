package files

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"

	"createos.local/agent/internal/mux"
)

const (
	newFile      = 0o644
	newDirectory = 0o755
)

// Write handles one `file_write` stream.
func Write(stream *mux.Stream) {
	var wanted struct {
		Path string `json:"path"`
		Size *int64 `json:"size"`
	}
	if err := json.Unmarshal(stream.Request, &wanted); err != nil {
		stream.Fail("bad_request", "file_write is malformed: "+err.Error())
		return
	}
	target, err := newTarget(wanted.Path)
	if err != nil {
		fail(stream, wanted.Path, err)
		return
	}
	defer target.close()
	size := int64(-1)
	if wanted.Size != nil {
		size = *wanted.Size
	}
	written, err := receive(stream, target, size)
	if err == nil {
		err = target.commit()
	}
	if err != nil {
		fail(stream, target.path, err)
		return
	}
	stream.Finish(map[string]int64{"bytes": written})
}

// receive writes the stream's input beside the target. A stream that was cancelled is not whole, whatever came.
func receive(stream *mux.Stream, target *target, size int64) (int64, error) {
	if err := target.room(size); err != nil {
		return 0, err
	}
	stream.Widen(mux.Bulk)
	body := newBody(target.file)
	if err := body.receive(stream); err != nil {
		return body.written, err
	}
	written := body.written
	if !stream.Whole() {
		return written, refuse("cancelled", "the host has cancelled the upload")
	}
	if size >= 0 && written != size {
		return written, refuse("cut", "%d of %d bytes came", written, size)
	}
	return written, nil
}

// target is a file that is being written beside the one it will replace. Until commit nothing can be seen of it.
type target struct {
	path      string
	directory *os.File
	name      string
	file      *os.File
	// beside is the name of the temporary file; empty while it has none.
	beside string
}

// newTarget finds out what would be replaced, makes the directories on the way, and opens the temporary file.
func newTarget(path string) (*target, error) {
	if err := check(path); err != nil {
		return nil, err
	}
	if path[len(path)-1] == '/' || filepath.Base(path) == ".." || filepath.Base(path) == "." {
		return nil, refuse("is_directory", "%s is a directory; name the file in it", path)
	}
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), newDirectory); err != nil {
		return nil, err
	}
	directory, err := os.OpenFile(filepath.Dir(path), os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	t := &target{path: path, directory: directory, name: filepath.Base(path)}
	if err := t.open(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *target) open() error {
	if info, err := os.Lstat(t.path); err == nil {
		if err := regular(t.path, info.Mode()); err != nil {
			return err
		}
	}
	if kernels(t.directory) {
		return refuse("not_regular", "%s belongs to the kernel and cannot be replaced; write to it with a program", t.path)
	}
	return t.openBeside()
}

// room refuses a file that cannot fit, before its first byte comes.
func (t *target) room(size int64) error {
	var disk syscall.Statfs_t
	if err := syscall.Fstatfs(int(t.directory.Fd()), &disk); err != nil {
		return err
	}
	free := int64(disk.Bavail) * disk.Bsize
	if size > free {
		return refuse("no_space", "%s needs %d bytes and the disk has %d left", t.path, size, free)
	}
	return nil
}

// commit makes the file durable and puts it in its place, with the mode and owner of the one it replaces.
func (t *target) commit() error {
	mode, uid, gid := uint32(newFile), 0, 0
	var old syscall.Stat_t
	if err := syscall.Lstat(t.path, &old); err == nil {
		mode, uid, gid = old.Mode&0o7777, int(old.Uid), int(old.Gid)
	}
	// The owner first: changing it clears setuid.
	if err := t.file.Chown(uid, gid); err != nil {
		return err
	}
	if err := syscall.Fchmod(int(t.file.Fd()), mode); err != nil {
		return err
	}
	if err := t.file.Sync(); err != nil {
		return err
	}
	if err := t.link(); err != nil {
		return err
	}
	at := int(t.directory.Fd())
	if err := syscall.Renameat(at, t.beside, at, t.name); err != nil {
		return err
	}
	t.beside = ""
	return t.directory.Sync()
}

// close removes what was not committed.
func (t *target) close() {
	if t.beside != "" {
		_ = syscall.Unlinkat(int(t.directory.Fd()), t.beside)
	}
	if t.file != nil {
		_ = t.file.Close()
	}
	_ = t.directory.Close()
}
