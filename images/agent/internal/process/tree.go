package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// tree is everything a process has started, near and far.
type tree interface {
	// adjust makes a new process the first of the tree.
	adjust(*syscall.SysProcAttr)
	// begun tells the pid of the first.
	begun(pid int)
	// pids are those that live.
	pids() []int
	// empty is whether none does.
	empty() bool
	// kill ends all of them.
	kill()
	// remove cleans up behind an empty tree.
	remove()
}

// cgroup is a tree that nothing leaves unseen, whatever it forks and however it detaches.
type cgroup struct {
	path   string
	handle *os.File
}

// newCgroup returns nil where there are none; below is a directory of a cgroup2 file system.
func newCgroup(below, id string) tree {
	if below == "" {
		return nil
	}
	path := filepath.Join(below, id)
	if os.MkdirAll(path, 0o755) != nil {
		return nil
	}
	handle, err := os.Open(path)
	if _, kill := os.Stat(filepath.Join(path, "cgroup.kill")); err != nil || kill != nil {
		_ = handle.Close()
		_ = os.Remove(path)
		return nil
	}
	return &cgroup{path, handle}
}

func (c *cgroup) adjust(attr *syscall.SysProcAttr) {
	attr.UseCgroupFD, attr.CgroupFD = true, int(c.handle.Fd())
}

func (c *cgroup) begun(int) { _ = c.handle.Close() }

func (c *cgroup) pids() []int {
	var found []int
	_ = filepath.WalkDir(c.path, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Name() == "cgroup.procs" {
			text, _ := os.ReadFile(path)
			for _, word := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
					found = append(found, pid)
				}
			}
		}
		return nil
	})
	return found
}

func (c *cgroup) empty() bool {
	text, err := os.ReadFile(filepath.Join(c.path, "cgroup.events"))
	return err != nil || strings.Contains(string(text), "populated 0")
}

func (c *cgroup) kill() { _ = os.WriteFile(filepath.Join(c.path, "cgroup.kill"), []byte("1"), 0) }

// remove takes the groups within away too; a program may have made some.
func (c *cgroup) remove() {
	_ = c.handle.Close()
	var all []string
	_ = filepath.WalkDir(c.path, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			all = append(all, path)
		}
		return nil
	})
	for i := len(all) - 1; i >= 0; i-- {
		_ = os.Remove(all[i])
	}
}

// sessions is a tree by descent and session, for a kernel without cgroup2. Who leaves both is lost to it.
type sessions struct {
	mu    sync.Mutex
	known map[int]bool
}

func newSessions() tree { return &sessions{known: map[int]bool{}} }

func (s *sessions) adjust(*syscall.SysProcAttr) {}

func (s *sessions) begun(pid int) { s.known[pid] = true }

func (s *sessions) pids() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := readProcesses()
	parents := map[int]int{}
	for _, p := range all {
		parents[p.pid] = p.parent
	}
	var found []int
	for _, p := range all {
		if s.known[p.session] || s.descends(p.pid, parents) {
			s.known[p.session] = true
			found = append(found, p.pid)
		}
	}
	return found
}

func (s *sessions) descends(pid int, parents map[int]int) bool {
	for steps := 0; pid > 1 && steps < 1000; steps++ {
		if s.known[pid] {
			return true
		}
		pid = parents[pid]
	}
	return false
}

func (s *sessions) empty() bool { return len(s.pids()) == 0 }

func (s *sessions) kill() {
	for _, pid := range s.pids() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func (s *sessions) remove() {}

type entry struct{ pid, parent, session int }

// readProcesses returns all that live; the dead that nobody has waited for do not.
func readProcesses() []entry {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var all []entry
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// The name is in brackets and may hold anything; what follows the last of them is fixed (proc_pid_stat(5)).
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 4 || fields[0] == "Z" || fields[0] == "X" {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		session, _ := strconv.Atoi(fields[3])
		all = append(all, entry{pid, parent, session})
	}
	return all
}
