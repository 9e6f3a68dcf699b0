package launch

import (
	"errors"
	"syscall"
)

// Failure is why a program could not be started, in the words of PROTOCOL.md.
type Failure struct {
	Code, Message string
	errno         syscall.Errno
}

// Is tells whether the system gave one of these as the cause.
func (f *Failure) Is(causes ...syscall.Errno) bool {
	for _, cause := range causes {
		if f.errno == cause {
			return true
		}
	}
	return false
}

func refuse(code, message string) *Failure { return &Failure{Code: code, Message: message} }

func explain(what string, err error) *Failure {
	code := "failed"
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		code = "not_found"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.EISDIR):
		code = "not_executable"
	case errors.Is(err, syscall.E2BIG):
		code = "too_large"
	}
	failed := refuse(code, what+": "+reason(err))
	_ = errors.As(err, &failed.errno)
	return failed
}

// reason is what the system says, without the names that Go puts around it.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
