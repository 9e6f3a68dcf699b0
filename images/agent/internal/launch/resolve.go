package launch

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"createos.local/agent/internal/users"
)

const (
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	defaultTerm = "xterm-256color"
	longestTerm = 64
)

// credential leaves root alone: setgroups is not needed then, and costs a system call under emulation.
func credential(user users.User) *syscall.Credential {
	if user.UID == 0 && user.GID == 0 && len(user.Groups) == 0 && os.Getuid() == 0 {
		return nil
	}
	return &syscall.Credential{Uid: user.UID, Gid: user.GID, Groups: user.Groups, NoSetGroups: os.Getuid() != 0}
}

// homeFor replaces `~` by the user's home, or by nothing when the image has no such directory: none is made for it.
func homeFor(cwd string, user users.User) string {
	if cwd != "~" {
		return cwd
	}
	if !filepath.IsAbs(user.Home) || isDirectory(user.Home) != nil {
		return ""
	}
	return user.Home
}

func workingDirectory(cwd string, strict bool) (string, *Failure) {
	if cwd == "" {
		return "/", nil
	}
	var err error
	if strict {
		err = isDirectory(cwd)
	} else {
		err = os.MkdirAll(cwd, 0o755)
	}
	if err != nil {
		return "", refuse("bad_cwd", "working directory "+cwd+": "+reason(err))
	}
	return cwd, nil
}

func isDirectory(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	return err
}

// environment adds what every program expects and the image did not say.
func environment(env []string, user users.User) []string {
	home := user.Home
	if home == "" {
		home = "/"
	}
	complete := append([]string(nil), env...)
	for _, pair := range [][2]string{{"PATH", defaultPath}, {"HOME", home}, {"USER", user.Name}, {"LOGNAME", user.Name}} {
		if value(env, pair[0]) == "" {
			complete = append(complete, pair[0]+"="+pair[1])
		}
	}
	return complete
}

func terminalType(wanted string) string {
	if wanted == "" || len(wanted) > longestTerm || strings.ContainsAny(wanted, "\x00/") {
		return defaultTerm
	}
	return wanted
}

func value(env []string, key string) string {
	found := ""
	for _, pair := range env {
		if name, text, ok := strings.Cut(pair, "="); ok && name == key {
			found = text
		}
	}
	return found
}

// lookUp finds a program as a shell would: a name with a slash is a path, any other is looked up in PATH.
func lookUp(name, path, cwd string) (string, *Failure) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	denied := false
	for _, directory := range filepath.SplitList(path) {
		if !filepath.IsAbs(directory) {
			directory = filepath.Join(cwd, directory)
		}
		candidate := filepath.Join(directory, name)
		info, err := os.Stat(candidate)
		if err != nil || info.IsDir() {
			continue
		}
		if info.Mode()&0o111 != 0 {
			return candidate, nil
		}
		denied = true
	}
	if denied {
		return "", refuse("not_executable", name+": permission denied")
	}
	return "", refuse("not_found", name+": not found in PATH")
}
