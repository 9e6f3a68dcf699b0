package process

import (
	"fmt"
	"strconv"

	"createos.local/agent/internal/launch"
)

// viewBytes bounds the arguments that a description repeats; a command line may have megabytes.
const viewBytes = 64 << 10

// view is how a process is described (PROTOCOL.md, wire-api 8.1). Times are milliseconds of Unix time.
type view struct {
	ProcessID    string      `json:"process_id"`
	Kind         string      `json:"kind"`
	Pid          int         `json:"pid"`
	State        string      `json:"state"`
	LeaderExited bool        `json:"leader_exited"`
	TreeExited   bool        `json:"tree_exited"`
	CreatedMS    int64       `json:"created_ms"`
	FinishedMS   int64       `json:"finished_ms,omitempty"`
	ExitCode     *int        `json:"exit_code,omitempty"`
	Signal       string      `json:"signal,omitempty"`
	Cmd          string      `json:"cmd"`
	Args         []string    `json:"args,omitempty"`
	Cwd          string      `json:"cwd"`
	Foreground   *foreground `json:"foreground,omitempty"`
	Output       window      `json:"output"`
}

func (p *process) view() view {
	v := view{
		ProcessID: p.id, Kind: "process", Pid: p.child.Pid, State: "running",
		TreeExited: p.treeExited(), CreatedMS: p.created.UnixMilli(),
		Cmd: p.cmd, Args: p.args, Cwd: p.child.Cwd, Foreground: p.foreground(), Output: p.journal.window(),
	}
	v.LeaderExited = v.TreeExited || p.leaderExited()
	if p.onTerminal() {
		v.Kind = "pty"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if v.LeaderExited {
		code, signal := launch.Ending(p.status)
		v.State, v.ExitCode, v.Signal, v.FinishedMS = "exited", &code, signal, p.finished.UnixMilli()
	}
	if p.terminating && !v.TreeExited {
		v.State = "terminating"
	}
	return v
}

// shorten keeps the arguments of a description within bounds, and says what is missing.
func shorten(args []string) []string {
	room := viewBytes
	for i, arg := range args {
		if room -= len(arg) + 8; room < 0 {
			return append(append([]string(nil), args[:i]...), fmt.Sprintf("… and %d more", len(args)-i))
		}
	}
	return args
}

func itoa(n int) string { return strconv.Itoa(n) }
