package sftp

import (
	"errors"
	"io"
	"syscall"
)

// Status codes of version 3.
const (
	statusOK          = 0
	statusEOF         = 1
	statusNoSuchFile  = 2
	statusDenied      = 3
	statusFailure     = 4
	statusBadMessage  = 5
	statusUnsupported = 8
)

// statusOf translates an error as OpenSSH's server does, so that clients say what they are used to say.
func statusOf(err error) (uint32, string) {
	if err == nil {
		return statusOK, "Success"
	}
	if err == io.EOF {
		return statusEOF, "End of file"
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return statusFailure, err.Error()
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EBADF, syscall.ELOOP:
		return statusNoSuchFile, errno.Error()
	case syscall.EPERM, syscall.EACCES, syscall.EFAULT:
		return statusDenied, errno.Error()
	case syscall.ENAMETOOLONG, syscall.EINVAL:
		return statusBadMessage, errno.Error()
	case syscall.ENOSYS, syscall.EOPNOTSUPP:
		return statusUnsupported, errno.Error()
	}
	return statusFailure, errno.Error()
}

// again repeats a system call that a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
