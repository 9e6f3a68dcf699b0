// Package reap starts processes and collects the exit of every child, orphans included, as process 1 must.
package reap

import (
	"sync"
	"syscall"
)

// Reaper owns all children of this process; nothing else may wait for them.
type Reaper struct {
	mu       sync.Mutex
	children sync.Cond
	count    int
	waiting  map[int]chan syscall.WaitStatus
	orphan   chan struct{}
}

// New returns a reaper that is already collecting.
func New() *Reaper {
	r := &Reaper{waiting: map[int]chan syscall.WaitStatus{}, orphan: make(chan struct{})}
	r.children.L = &r.mu
	go r.collect()
	return r
}

// Start runs a program and returns its pid and a channel that delivers its status once.
//
// The lock is held from before the fork until the pid is known, so that an exit can't be collected unseen.
func (r *Reaper) Start(path string, argv []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	status := make(chan syscall.WaitStatus, 1)
	r.waiting[pid] = status
	r.count++
	r.children.Signal()
	return pid, status, nil
}

// collect blocks in wait4 rather than on SIGCHLD: an exit is known one thread switch after it happened.
func (r *Reaper) collect() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.ECHILD:
			r.awaitChild()
		case err == nil && pid > 0:
			r.deliver(pid, status)
		}
	}
}

// awaitChild sleeps until something was started; without children there are no orphans either.
func (r *Reaper) awaitChild() {
	r.mu.Lock()
	seen := r.count
	for r.count == seen && len(r.waiting) == 0 {
		r.children.Wait()
	}
	r.mu.Unlock()
}

func (r *Reaper) deliver(pid int, status syscall.WaitStatus) {
	r.mu.Lock()
	if waiter, ok := r.waiting[pid]; ok {
		delete(r.waiting, pid)
		waiter <- status
	} else {
		close(r.orphan)
		r.orphan = make(chan struct{})
	}
	r.mu.Unlock()
}

// Orphan returns a channel that is closed when the next process ends that this one has not started itself.
func (r *Reaper) Orphan() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.orphan
}
