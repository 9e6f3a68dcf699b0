package process

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"syscall"
	"time"

	"createos.local/agent/internal/launch"
)

const (
	maxAlive    = 256
	maxFinished = 64
)

// Registry knows the managed processes of this guest, those that have ended included until there are too many of them.
type Registry struct {
	launch.Launcher
	// Cgroups is a directory of a cgroup2 file system to keep the trees in; empty: there is none.
	Cgroups string

	once  sync.Once
	shelf *shelf

	mu       sync.Mutex
	all      map[string]*process
	order    []string
	finished []string
	starting int
}

func (r *Registry) prepare() {
	r.once.Do(func() {
		r.shelf = newShelf(allBytes)
		r.all = map[string]*process{}
	})
}

// start runs a program and keeps it.
func (r *Registry) start(spec *launch.Spec) (*process, *launch.Failure) {
	id, failed := r.reserve()
	if failed != nil {
		return nil, failed
	}
	p, failed := r.run(id, spec)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starting--
	if failed != nil {
		return nil, failed
	}
	r.all[id] = p
	r.order = append(r.order, id)
	go func() {
		p.supervise(r.Reaper)
		r.retire(p)
	}()
	return p, nil
}

// reserve counts a process before it is there, so that many at once keep to the bound too.
func (r *Registry) reserve() (string, *launch.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all)-len(r.finished)+r.starting >= maxAlive {
		return "", &launch.Failure{Code: "too_many", Message: "256 processes are running; let some of them end"}
	}
	r.starting++
	for {
		var random [8]byte
		_, _ = rand.Read(random[:])
		if id := "proc-" + hex.EncodeToString(random[:]); r.all[id] == nil {
			return id, nil
		}
	}
}

// run starts the program in a tree of its own; a kernel that cannot do it with cgroups does it without.
func (r *Registry) run(id string, spec *launch.Spec) (*process, *launch.Failure) {
	t := newCgroup(r.Cgroups, id)
	if t == nil {
		t = newSessions()
	}
	child, failed := r.Start(spec, t.adjust)
	if failed != nil && failed.Is(syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EPERM, syscall.EBUSY) {
		t.remove()
		t = newSessions()
		child, failed = r.Start(spec, t.adjust)
	}
	if failed != nil {
		t.remove()
		return nil, failed
	}
	t.begun(child.Pid)
	p := &process{
		id: id, created: time.Now(), child: child, tree: t, journal: r.shelf.open(journalBytes), input: newInput(child.Stdin, spec.Pty == nil),
		leaderGone: make(chan struct{}), treeGone: make(chan struct{}), cmd: child.Path, args: shorten(child.Argv[1:]),
	}
	if !spec.Shell {
		p.cmd = shorten(spec.Argv[:1])[0]
	}
	return p, nil
}

// retire keeps the newest of those that have ended.
func (r *Registry) retire(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = append(r.finished, p.id)
	for len(r.finished) > maxFinished {
		r.forget(r.finished[0])
		r.finished = r.finished[1:]
	}
}

func (r *Registry) forget(id string) {
	r.shelf.discard(r.all[id].journal)
	delete(r.all, id)
	for i, known := range r.order {
		if known == id {
			r.order = append(r.order[:i:i], r.order[i+1:]...)
			return
		}
	}
}

func (r *Registry) find(id string) *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[id]
}

// list returns all, oldest first.
func (r *Registry) list() []*process {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := make([]*process, 0, len(r.order))
	for _, id := range r.order {
		found = append(found, r.all[id])
	}
	return found
}
