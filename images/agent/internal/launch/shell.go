package launch

import (
	"os"
	"path/filepath"

	"createos.local/agent/internal/users"
)

// Shells that are tried, in this order, when the user has none of his own.
var shells = []string{
	"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/bin/ash", "/bin/sh", "/usr/bin/sh",
	"/bin/dash", "/bin/zsh", "/usr/bin/zsh", "/busybox/sh",
}

// Programs that /etc/passwd names to say that nobody logs in; who asks for a shell means one all the same.
var noShells = map[string]bool{"": true, "false": true, "nologin": true, "true": true, "sync": true}

// shell returns the user's login shell: to be typed into, or to run the one line that is given.
func shell(root string, user users.User, line []string) (string, []string, *Failure) {
	if len(line) > 1 {
		return "", nil, refuse("bad_request", "a shell takes at most one line of commands")
	}
	candidates := shells
	if !noShells[filepath.Base(user.Shell)] && filepath.IsAbs(user.Shell) {
		candidates = append([]string{user.Shell}, shells...)
	}
	for _, path := range candidates {
		if info, err := os.Stat(filepath.Join(root, path)); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			continue
		}
		if len(line) == 1 {
			return path, []string{filepath.Base(path), "-c", line[0]}, nil
		}
		// The dash is how a shell is told that it is the first of a session.
		return path, []string{"-" + filepath.Base(path)}, nil
	}
	return "", nil, refuse("no_shell", "the image has no shell")
}
