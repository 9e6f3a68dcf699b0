// Package launch starts programs for everything that runs some: who, where, with what environment, on which pipes or terminal.
package launch

import (
	"os"
	"syscall"

	"createos.local/agent/internal/pty"
	"createos.local/agent/internal/reap"
	"createos.local/agent/internal/users"
)

// Terminal asks for a pseudo terminal in place of pipes. Term is the TERM of a program whose environment has none.
type Terminal struct {
	pty.Size
	Term string `json:"term"`
}

// Spec is what to start: the JSON keys that `exec` and `process` share.
type Spec struct {
	Argv  []string  `json:"argv"`
	Env   []string  `json:"env"`
	Cwd   string    `json:"cwd"`
	User  string    `json:"user"`
	Shell bool      `json:"shell"`
	Pty   *Terminal `json:"pty"`

	// Stdin is whether a program on pipes gets input; one on a terminal always does.
	Stdin bool `json:"stdin"`
	// StrictCwd refuses a working directory that is not there instead of making it.
	StrictCwd bool `json:"strict_cwd"`
}

// Launcher starts programs below Root, which is "/" in a guest.
type Launcher struct {
	Reaper *reap.Reaper
	Root   string
}

// Child is a running program and our ends of its pipes or its terminal; Exited delivers its status once.
type Child struct {
	Pid    int
	Path   string
	Argv   []string
	Cwd    string
	Exited <-chan syscall.WaitStatus

	// Stdin is nil when the program has no input.
	Stdin *os.File
	// Out are stdout and stderr; a program on a terminal has neither.
	Out [2]*os.File
	// Pty is the terminal, with the same file in Stdin; its File is nil for a program on pipes.
	Pty pty.Terminal
}

// Start resolves everything the spec names and runs the program in a session of its own. adjust may change how.
func (l *Launcher) Start(spec *Spec, adjust func(*syscall.SysProcAttr)) (*Child, *Failure) {
	user, err := users.Find(l.Root, spec.User)
	if err != nil {
		return nil, refuse("bad_user", err.Error())
	}
	cwd, failed := workingDirectory(homeFor(spec.Cwd, user), spec.StrictCwd)
	if failed != nil {
		return nil, failed
	}
	path, argv, env, failed := l.program(spec, user, cwd)
	if failed != nil {
		return nil, failed
	}
	child := &Child{Path: path, Argv: argv, Cwd: cwd}
	theirs, err := child.connect(spec, int(user.UID))
	defer closeAll(theirs)
	if err != nil {
		child.Close()
		return nil, explain("pipes", err)
	}
	sys := &syscall.SysProcAttr{Setsid: true, Credential: credential(user), Setctty: spec.Pty != nil}
	if adjust != nil {
		adjust(sys)
	}
	attr := &syscall.ProcAttr{Dir: cwd, Env: env, Sys: sys}
	for _, file := range theirs {
		attr.Files = append(attr.Files, file.Fd())
	}
	if child.Pid, child.Exited, err = l.Reaper.Start(path, argv, attr); err != nil {
		child.Close()
		return nil, explain(argv[0], err)
	}
	return child, nil
}

// program returns what is executed, as what, with which environment.
func (l *Launcher) program(spec *Spec, user users.User, cwd string) (string, []string, []string, *Failure) {
	env := environment(spec.Env, user)
	if spec.Pty != nil && value(env, "TERM") == "" {
		env = append(env, "TERM="+terminalType(spec.Pty.Term))
	}
	if spec.Shell {
		path, argv, failed := shell(l.Root, user, spec.Argv)
		if failed == nil && value(env, "SHELL") == "" {
			env = append(env, "SHELL="+path)
		}
		return path, argv, env, failed
	}
	if len(spec.Argv) == 0 || spec.Argv[0] == "" {
		return "", nil, nil, refuse("bad_request", "argv is missing")
	}
	path, failed := lookUp(spec.Argv[0], value(env, "PATH"), cwd)
	return path, spec.Argv, env, failed
}

// connect makes what the program reads and writes, keeps our ends and returns its own three.
func (c *Child) connect(spec *Spec, uid int) ([]*os.File, error) {
	if spec.Pty == nil {
		return c.pipes(spec.Stdin)
	}
	terminal, slave, err := pty.Open(spec.Pty.Size.OrDefault(), uid)
	if err != nil {
		return nil, err
	}
	c.Pty, c.Stdin = terminal, terminal.File
	return []*os.File{slave, slave, slave}, nil
}

func (c *Child) pipes(stdin bool) (theirs []*os.File, err error) {
	var in *os.File
	if stdin {
		in, c.Stdin, err = os.Pipe()
	} else {
		in, err = os.Open(os.DevNull)
	}
	if err != nil {
		return nil, err
	}
	theirs = append(theirs, in)
	for i := range c.Out {
		read, write, err := os.Pipe()
		if err != nil {
			return theirs, err
		}
		c.Out[i] = read
		theirs = append(theirs, write)
	}
	return theirs, nil
}

// Close closes our ends; a program on a terminal is hung up by that.
func (c *Child) Close() {
	for _, file := range []*os.File{c.Stdin, c.Out[0], c.Out[1], c.Pty.File} {
		if file != nil {
			_ = file.Close()
		}
	}
}

// Signal sends to the foreground of the terminal, or to the process group of a program that has none.
func (c *Child) Signal(number syscall.Signal) error {
	group := c.Pid
	if c.Pty.File != nil {
		if foreground := c.Pty.Foreground(); foreground > 0 {
			group = foreground
		}
	}
	return syscall.Kill(-group, number)
}

// Kill ends the program's process group and the foreground of its terminal.
func (c *Child) Kill() {
	_ = c.Signal(syscall.SIGKILL)
	_ = syscall.Kill(-c.Pid, syscall.SIGKILL)
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}
