// Package process runs programs that outlive the host's connection: they end when they end, or when they are deleted.
package process

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"createos.local/agent/internal/launch"
	"createos.local/agent/internal/pty"
	"createos.local/agent/internal/reap"
)

const (
	// heldOutput bounds what is read in one go when a process has ended; pipes and terminals hold less.
	heldOutput = 1 << 20
	// lookAgain is how often a tree without its leader is looked at when no orphan's end says that it changed.
	lookAgain = 2 * time.Second
	lookFirst = time.Millisecond
	// killWait is how long a killed tree may take to be gone before a delete answers all the same.
	killWait  = 5 * time.Second
	killAgain = 50 * time.Millisecond
)

// process is a managed process. What is set at the start does not change; the rest is under the lock.
type process struct {
	id      string
	cmd     string
	args    []string
	created time.Time
	child   *launch.Child
	tree    tree
	journal *journal
	input   *input

	leaderGone chan struct{}
	treeGone   chan struct{}

	mu          sync.Mutex
	finished    time.Time
	status      syscall.WaitStatus
	terminating bool
}

func (p *process) onTerminal() bool { return p.child.Pty.File != nil }

func (p *process) leaderExited() bool { return isClosed(p.leaderGone) }

func (p *process) treeExited() bool { return isClosed(p.treeGone) }

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// supervise follows the process from its start until everything it has started is gone.
func (p *process) supervise(reaper *reap.Reaper) {
	pumps := p.pumps()
	status := <-p.child.Exited
	for _, pump := range pumps {
		pump.drain()
	}
	p.mu.Lock()
	p.status, p.finished = status, time.Now()
	p.mu.Unlock()
	p.input.abort()
	code, signal := launch.Ending(status)
	text, _ := json.Marshal(exit{code, signal})
	p.journal.append(fromExit, text)
	close(p.leaderGone)
	if p.onTerminal() {
		p.child.Close()
	}
	p.awaitTree(reaper)
	for _, pump := range pumps {
		pump.drain()
	}
	p.child.Close()
	p.journal.close()
	p.tree.remove()
	close(p.treeGone)
}

// exit is the data of the last event that a leader causes.
type exit struct {
	ExitCode int    `json:"exit_code"`
	Signal   string `json:"signal,omitempty"`
}

// awaitTree looks whenever an orphan has ended: the last one of a tree always is one, since its leader is gone. The
// kernel may count it a moment longer, so the first looks follow one another fast.
func (p *process) awaitTree(reaper *reap.Reaper) {
	wait := lookFirst
	for {
		orphan := reaper.Orphan()
		if p.tree.empty() {
			return
		}
		select {
		case <-orphan:
			wait = lookFirst
		case <-time.After(wait):
			wait = min(2*wait, lookAgain)
		}
	}
}

// pumps begins to read the output.
func (p *process) pumps() []*pump {
	var all []*pump
	for i, file := range []*os.File{p.child.Out[0], p.child.Out[1], p.child.Pty.File} {
		if file != nil {
			pump := &pump{file: file, source: byte(fromStdout + i), journal: p.journal, drained: make(chan struct{}, 1), done: make(chan struct{})}
			go pump.run()
			all = append(all, pump)
		}
	}
	return all
}

// pump moves output into the journal, which never makes it wait.
type pump struct {
	file    *os.File
	source  byte
	journal *journal
	drained chan struct{}
	done    chan struct{}
}

func (u *pump) run() {
	defer close(u.done)
	buffer := make([]byte, eventBytes)
	for {
		n, err := u.file.Read(buffer)
		u.journal.add(u.source, buffer[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			u.journal.add(u.source, pty.Drain(u.file, heldOutput))
			_ = u.file.SetReadDeadline(time.Time{})
			u.drained <- struct{}{}
		case err != nil:
			return
		}
	}
}

// drain returns when everything that was written so far is in the journal.
func (u *pump) drain() {
	if u.file.SetReadDeadline(time.Unix(1, 0)) != nil {
		return
	}
	select {
	case <-u.drained:
	case <-u.done:
	}
}

// signal sends to the foreground of a terminal, else to the process group of the leader. False: there is nobody.
func (p *process) signal(number syscall.Signal) bool {
	if !p.leaderExited() {
		return p.child.Signal(number) == nil
	}
	reached := false
	for _, pid := range p.tree.pids() {
		if group, err := syscall.Getpgid(pid); err == nil && group == p.child.Pid {
			reached = syscall.Kill(pid, number) == nil || reached
		}
	}
	return reached
}

// terminate asks everything to end and kills what has not after grace. It goes on when nobody waits for it any more.
func (p *process) terminate(grace time.Duration) {
	p.mu.Lock()
	p.terminating = true
	p.mu.Unlock()
	if grace > 0 {
		p.ask()
		select {
		case <-p.treeGone:
			return
		case <-time.After(grace):
		}
	}
	for end := time.Now().Add(killWait); time.Now().Before(end); {
		p.tree.kill()
		select {
		case <-p.treeGone:
			return
		case <-time.After(killAgain):
		}
	}
}

// ask is what a system says that shuts down, and a terminal that is closed: shells do not heed SIGTERM.
func (p *process) ask() {
	for _, pid := range p.tree.pids() {
		if p.onTerminal() {
			_ = syscall.Kill(pid, syscall.SIGHUP)
		}
		_ = syscall.Kill(pid, syscall.SIGTERM)
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// foreground is the job that a terminal belongs to just now.
type foreground struct {
	Pid  int      `json:"pid"`
	Cmd  string   `json:"cmd"`
	Args []string `json:"args,omitempty"`
}

func (p *process) foreground() *foreground {
	if !p.onTerminal() || p.leaderExited() {
		return nil
	}
	pid := p.child.Pty.Foreground()
	if pid <= 0 {
		return nil
	}
	text, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "cmdline"))
	if err != nil || len(text) == 0 {
		return nil
	}
	words := strings.Split(strings.TrimSuffix(string(text[:min(len(text), viewBytes)]), "\x00"), "\x00")
	return &foreground{pid, words[0], words[1:]}
}
