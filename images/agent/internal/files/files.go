// Package files reads and writes whole files of the guest, as root.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"createos.local/agent/internal/mux"
)

const (
	output, head = 1, 2
	maxLinks     = 40
)

// refusal is an ERROR with a code of PROTOCOL.md.
type refusal struct{ code, message string }

func (r *refusal) Error() string { return r.message }

func refuse(code, format string, values ...any) error {
	return &refusal{code, fmt.Sprintf(format, values...)}
}

// fail ends a stream with what was wrong.
func fail(stream *mux.Stream, path string, err error) {
	var refused *refusal
	if errors.As(err, &refused) {
		stream.Fail(refused.code, refused.message)
		return
	}
	var number syscall.Errno
	if !errors.As(err, &number) {
		stream.Fail("failed", err.Error())
		return
	}
	stream.Fail(codeOf(number), path+": "+number.Error())
}

func codeOf(number syscall.Errno) string {
	switch number {
	case syscall.ENOENT, syscall.ENOTDIR:
		return "not_found"
	case syscall.EISDIR:
		return "is_directory"
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG:
		return "no_space"
	case syscall.EROFS, syscall.EACCES, syscall.EPERM:
		return "denied"
	case syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL:
		return "bad_path"
	case syscall.ENXIO:
		return "not_regular"
	}
	return "failed"
}

// check refuses a path that is not absolute or could not be one.
func check(path string) error {
	if !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
		return refuse("bad_path", "%q is not an absolute path", path)
	}
	return nil
}

// regular refuses everything that has no end, no size or no bytes of its own.
func regular(path string, mode fs.FileMode) error {
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return refuse("is_directory", "%s is a directory", path)
	}
	return refuse("not_regular", "%s is no regular file but %s", path, kind(mode))
}

func kind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeDevice != 0:
		return "a device"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "something else"
}

// resolve follows links to where a file is or would be made: a link stays and what it points to is replaced.
func resolve(path string) (string, error) {
	for range maxLinks {
		target, err := os.Readlink(path)
		if err != nil {
			// No link, or nothing there: both are fine here.
			return path, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Dir(path) + "/" + target
		}
		path = target
	}
	return "", refuse("bad_path", "%s: too many links", path)
}
