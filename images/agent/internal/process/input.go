package process

import (
	"os"
	"sync"
	"time"
)

const (
	// inputBytes is how much input may wait for a process that does not read; one call may bring that much.
	inputBytes = 1 << 20
	inputWait  = 10 * time.Second
)

// input writes what clients send to a process, one call after the other, so that no client waits for the process.
type input struct {
	file   *os.File
	closes bool

	mu      sync.Mutex
	queue   [][]byte
	queued  int
	seq     uint64
	closing bool
	broken  bool
	changed chan struct{}
}

// newInput begins to write to file, and closes it at the end if that is what an end of input is.
func newInput(file *os.File, closes bool) *input {
	i := &input{file: file, closes: closes, changed: make(chan struct{})}
	go i.write()
	return i
}

// put queues data in one piece and returns how many calls there have been, or the code of PROTOCOL.md for why not.
func (i *input) put(data []byte, cancelled <-chan struct{}) (uint64, string) {
	late := time.After(inputWait)
	for {
		seq, code, changed := i.try(data)
		if changed == nil {
			return seq, code
		}
		select {
		case <-changed:
		case <-late:
			return 0, "input_full"
		case <-cancelled:
			return 0, "input_full"
		}
	}
}

// try returns a channel to wait for when there is no room yet.
func (i *input) try(data []byte) (uint64, string, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.broken || i.closing:
		return 0, "input_closed", nil
	case len(data) > inputBytes:
		return 0, "too_large", nil
	case i.queued+len(data) > inputBytes:
		return 0, "", i.changed
	}
	i.seq++
	if len(data) > 0 {
		i.queue = append(i.queue, data)
		i.queued += len(data)
		i.wake()
	}
	return i.seq, "", nil
}

// end closes the input when everything that was put has been written.
func (i *input) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closing = true
	i.wake()
}

// abort forgets what waits: the process is gone.
func (i *input) abort() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken = true
	i.queue, i.queued = nil, 0
	i.wake()
}

func (i *input) write() {
	for {
		data, ok := i.next()
		if !ok {
			if i.closes {
				_ = i.file.Close()
			}
			return
		}
		if _, err := i.file.Write(data); err != nil {
			i.abort()
		}
	}
}

// next waits for the next piece; false is the end.
func (i *input) next() ([]byte, bool) {
	for {
		i.mu.Lock()
		if i.broken {
			i.mu.Unlock()
			return nil, false
		}
		if len(i.queue) > 0 {
			data := i.queue[0]
			i.queue = i.queue[1:]
			i.queued -= len(data)
			i.wake()
			i.mu.Unlock()
			return data, true
		}
		closing, changed := i.closing, i.changed
		i.mu.Unlock()
		if closing {
			return nil, false
		}
		<-changed
	}
}

// wake is called with the lock held.
func (i *input) wake() {
	close(i.changed)
	i.changed = make(chan struct{})
}
