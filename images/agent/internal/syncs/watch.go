package syncs

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	watchMask = syscall.IN_CREATE | syscall.IN_DELETE | syscall.IN_MODIFY | syscall.IN_ATTRIB | syscall.IN_MOVED_FROM |
		syscall.IN_MOVED_TO | syscall.IN_CLOSE_WRITE | syscall.IN_DELETE_SELF | syscall.IN_MOVE_SELF | syscall.IN_ONLYDIR
	quiet   = 50 * time.Millisecond
	latest  = 500 * time.Millisecond
	noWatch = -1
)

// watcher tells which directories have changed. Without inotify it watches nothing, and everything is read at every scan.
type watcher struct {
	file *os.File
	fd   int

	mu    sync.Mutex
	paths map[int]string
	ids   map[string]int
	dirty map[string]bool
	all   bool
	wake  chan struct{}
	done  chan struct{}
}

// newWatcher calls changed, in its own goroutine, some time after something has changed; then not again before a drain.
func newWatcher(changed func()) *watcher {
	w := &watcher{fd: noWatch, paths: map[int]string{}, ids: map[string]int{}, dirty: map[string]bool{}}
	w.wake, w.done = make(chan struct{}, 1), make(chan struct{})
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return w
	}
	w.fd, w.file = fd, os.NewFile(uintptr(fd), "inotify")
	go w.read()
	go w.announce(changed)
	return w
}

func (w *watcher) close() {
	close(w.done)
	if w.file != nil {
		_ = w.file.Close()
	}
}

// add watches an open directory under its path and says whether events will come.
func (w *watcher) add(directory int, path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.ids[path]; known || w.fd == noWatch {
		return known
	}
	id, err := syscall.InotifyAddWatch(w.fd, fmt.Sprintf("/proc/self/fd/%d", directory), watchMask)
	if err != nil {
		return false
	}
	if old, moved := w.paths[id]; moved {
		// The same directory under its former name: whoever comes there next is watched anew.
		delete(w.ids, old)
	}
	w.paths[id], w.ids[path] = path, id
	return true
}

func (w *watcher) remove(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id, known := w.ids[path]; known {
		delete(w.ids, path)
		delete(w.paths, id)
		_, _ = syscall.InotifyRmWatch(w.fd, uint32(id))
	}
}

// drain returns the directories to read again, or that all must be.
func (w *watcher) drain() (map[string]bool, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dirty, all := w.dirty, w.all
	w.dirty, w.all = map[string]bool{}, false
	return dirty, all
}

func (w *watcher) pending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all || len(w.dirty) > 0
}

func (w *watcher) read() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buffer)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.events(buffer[:n])
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// events is called with the lock held.
func (w *watcher) events(data []byte) {
	for len(data) >= syscall.SizeofInotifyEvent {
		event := (*syscall.InotifyEvent)(unsafe.Pointer(&data[0]))
		size := syscall.SizeofInotifyEvent + int(event.Len)
		if size > len(data) {
			return
		}
		data = data[size:]
		path, known := w.paths[int(event.Wd)]
		switch {
		case event.Mask&syscall.IN_Q_OVERFLOW != 0:
			w.all = true
		case !known:
		case event.Mask&syscall.IN_IGNORED != 0:
			delete(w.paths, int(event.Wd))
			if w.ids[path] == int(event.Wd) {
				delete(w.ids, path)
			}
		case event.Mask&(syscall.IN_MOVE_SELF|syscall.IN_DELETE_SELF) != 0:
			w.moved(path)
		default:
			w.dirty[path] = true
		}
	}
}

// moved forgets a directory that left its name and everything below it: another one may be there now. The lock is held.
func (w *watcher) moved(path string) {
	for each, id := range w.ids {
		if each == path || strings.HasPrefix(each, path+"/") {
			w.dirty[each] = true
			delete(w.ids, each)
			delete(w.paths, id)
			_, _ = syscall.InotifyRmWatch(w.fd, uint32(id))
		}
	}
}

// announce calls changed when events have ceased for a moment, or have gone on for long.
func (w *watcher) announce(changed func()) {
	for {
		select {
		case <-w.wake:
		case <-w.done:
			return
		}
		begun := time.Now()
		for more := true; more && time.Since(begun) < latest; {
			select {
			case <-w.wake:
			case <-w.done:
				return
			case <-time.After(quiet):
				more = false
			}
		}
		if w.pending() {
			changed()
		}
	}
}
