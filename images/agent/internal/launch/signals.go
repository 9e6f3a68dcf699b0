package launch

import "syscall"

var signals = map[syscall.Signal]string{
	syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
	syscall.SIGTRAP: "SIGTRAP", syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
	syscall.SIGKILL: "SIGKILL", syscall.SIGUSR1: "SIGUSR1", syscall.SIGSEGV: "SIGSEGV", syscall.SIGUSR2: "SIGUSR2",
	syscall.SIGPIPE: "SIGPIPE", syscall.SIGALRM: "SIGALRM", syscall.SIGTERM: "SIGTERM", syscall.SIGXCPU: "SIGXCPU",
	syscall.SIGWINCH: "SIGWINCH", syscall.SIGCONT: "SIGCONT", syscall.SIGSTOP: "SIGSTOP", syscall.SIGTSTP: "SIGTSTP",
}

// SignalName returns the name of a signal with its SIG.
func SignalName(number syscall.Signal) string {
	if name, ok := signals[number]; ok {
		return name
	}
	return "SIG" + number.String()
}

// SignalNumber finds a signal by its name with SIG.
func SignalNumber(name string) (syscall.Signal, bool) {
	for number, known := range signals {
		if known == name {
			return number, true
		}
	}
	return 0, false
}

// Ending is how a program ended: the exit code as a shell would say it, and the signal that killed it, if one did.
func Ending(status syscall.WaitStatus) (int, string) {
	if status.Signaled() {
		return 128 + int(status.Signal()), SignalName(status.Signal())
	}
	return status.ExitStatus(), ""
}
