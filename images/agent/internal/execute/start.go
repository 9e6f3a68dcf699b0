package execute

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"createos.local/agent/internal/users"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// start resolves everything the request names and runs the program in a session of its own.
func (e *Executor) start(request *Request) (*process, *failure) {
	user, err := users.Find(e.Root, request.User)
	if err != nil {
		return nil, &failure{"bad_user", err.Error()}
	}
	cwd, failed := workingDirectory(request.Cwd)
	if failed != nil {
		return nil, failed
	}
	env := environment(request.Env, user)
	path, failed := lookUp(request.Argv[0], value(env, "PATH"), cwd)
	if failed != nil {
		return nil, failed
	}
	p := &process{}
	theirs, err := p.pipes(request.Stdin)
	defer closeAll(theirs)
	if err != nil {
		p.close()
		return nil, explain("pipes", err)
	}
	attr := &syscall.ProcAttr{Dir: cwd, Env: env, Sys: &syscall.SysProcAttr{Setsid: true, Credential: credential(user)}}
	for _, file := range theirs {
		attr.Files = append(attr.Files, file.Fd())
	}
	if p.pid, p.exited, err = e.Reaper.Start(path, request.Argv, attr); err != nil {
		p.close()
		return nil, explain(request.Argv[0], err)
	}
	return p, nil
}

// pipes makes the program's stdin, stdout and stderr and keeps our ends.
func (p *process) pipes(stdin bool) (theirs []*os.File, err error) {
	var in *os.File
	if stdin {
		in, p.stdin, err = os.Pipe()
	} else {
		in, err = os.Open(os.DevNull)
	}
	if err != nil {
		return nil, err
	}
	theirs = append(theirs, in)
	for i := range p.out {
		read, write, err := os.Pipe()
		if err != nil {
			return theirs, err
		}
		p.out[i] = read
		theirs = append(theirs, write)
	}
	return theirs, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}

// credential leaves root alone: setgroups is not needed then, and costs a system call under emulation.
func credential(user users.User) *syscall.Credential {
	if user.UID == 0 && user.GID == 0 && len(user.Groups) == 0 && os.Getuid() == 0 {
		return nil
	}
	return &syscall.Credential{Uid: user.UID, Gid: user.GID, Groups: user.Groups, NoSetGroups: os.Getuid() != 0}
}

func workingDirectory(cwd string) (string, *failure) {
	if cwd == "" {
		return "/", nil
	}
	if err := os.MkdirAll(cwd, 0o755); err != nil {
		return "", &failure{"bad_cwd", "working directory " + cwd + ": " + explain("", err).message[2:]}
	}
	return cwd, nil
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
func lookUp(name, path, cwd string) (string, *failure) {
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
		return "", &failure{"not_executable", name + ": permission denied"}
	}
	return "", &failure{"not_found", name + ": not found in PATH"}
}

func signalName(number syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
		syscall.SIGTRAP: "SIGTRAP", syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
		syscall.SIGKILL: "SIGKILL", syscall.SIGUSR1: "SIGUSR1", syscall.SIGSEGV: "SIGSEGV", syscall.SIGUSR2: "SIGUSR2",
		syscall.SIGPIPE: "SIGPIPE", syscall.SIGALRM: "SIGALRM", syscall.SIGTERM: "SIGTERM", syscall.SIGXCPU: "SIGXCPU",
	}
	if name, ok := names[number]; ok {
		return name
	}
	return "SIG" + number.String()
}
