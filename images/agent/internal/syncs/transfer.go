package syncs

import (
	"crypto/sha256"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	chunk = 60 << 10
	tick  = 50 * time.Millisecond
)

// upload handles the messages that bring a file; after a failure the rest of it is ignored.
func (se *session) upload(kind byte, id uint32, f *fields) bool {
	if kind == typePut {
		return se.put(id, f)
	}
	up := se.current
	if up == nil || up.id != id {
		return true
	}
	switch kind {
	case typeBody:
		if err := up.write(f.data); err != nil {
			se.abandon(err)
		}
	case typeCommit:
		size := f.u64()
		if f.bad {
			return false
		}
		if size != up.size {
			se.abandon(failed(codeFailed, "%d bytes came instead of %d", up.size, size))
			return true
		}
		now, err := se.tree.commit(up)
		if err != nil {
			se.tree.drop(up)
		} else {
			_ = syscall.Close(up.fd)
		}
		se.current = nil
		se.finish(id, now, err)
	case typeAbort:
		se.abandon(failed(codeChanged, "%s was given up", up.path))
	}
	return true
}

func (se *session) put(id uint32, f *fields) bool {
	up := &upload{id: id, expect: f.entry(), path: f.text()}
	up.mode = up.expect.Mode
	if f.bad {
		return false
	}
	if se.current != nil {
		se.abandon(failed(codeFailed, "another file came before its end"))
	}
	if err := se.tree.begin(up); err != nil {
		se.finish(id, entry{}, err)
		return true
	}
	se.current = up
	return true
}

func (se *session) abandon(err error) {
	se.finish(se.current.id, entry{}, err)
	se.tree.drop(se.current)
	se.current = nil
}

// reading opens a file that must be in the state the host knows.
func (se *session) reading(path string, expect entry) (*os.File, error) {
	parent, name, err := se.tree.parent(path)
	if err != nil {
		return nil, err
	}
	fd, err := openAt(parent, name, syscall.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	opened := os.NewFile(uintptr(fd), name)
	if err := unchanged(opened, expect); err != nil {
		_ = opened.Close()
		return nil, err
	}
	return opened, nil
}

func unchanged(opened *os.File, expect entry) error {
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(opened.Fd()), &stat); err != nil {
		return err
	}
	if now := describe(&stat); now.Kind != file || now.Version != expect.Version {
		return changed(opened.Name())
	}
	return nil
}

// each gives do the expected bytes of a file piece by piece; one that has changed by the end is an error.
func (se *session) each(path string, expect entry, size int, do func([]byte) bool) error {
	opened, err := se.reading(path, expect)
	if err != nil {
		return err
	}
	defer opened.Close()
	buffer := make([]byte, min(uint64(size), max(expect.Version.Size, 1)))
	for left := expect.Version.Size; left > 0; {
		n, err := io.ReadFull(opened, buffer[:min(uint64(len(buffer)), left)])
		if err != nil {
			return changed(opened.Name())
		}
		if !do(buffer[:n]) {
			return errGone
		}
		left -= uint64(n)
	}
	return unchanged(opened, expect)
}

func (se *session) get(id uint32, path string, expect entry) (entry, error) {
	marked := settled(expect)
	return marked, se.each(path, expect, chunk, func(data []byte) bool {
		return se.queue(begin(typeData).u32(id).raw(data))
	})
}

// settled tells in the mode whether another write could leave the version as it is: kernels count time in ticks. It is asked before reading.
func settled(e entry) entry {
	e.Mode = 0
	if time.Now().UnixNano()-max(e.Version.Mtime, e.Version.Ctime) < int64(tick) {
		e.Mode = 1
	}
	return e
}

func (se *session) hash(id uint32, path string, expect entry) (entry, error) {
	marked, digest, last := settled(expect), sha256.New(), time.Now()
	err := se.each(path, expect, 1<<20, func(data []byte) bool {
		_, _ = digest.Write(data)
		if time.Since(last) > aliveEvery {
			last = time.Now()
			return se.send(begin(typeAlive))
		}
		return true
	})
	if err == nil {
		se.queue(begin(typeHashed).u32(id).raw(digest.Sum(nil)))
	}
	return marked, err
}
