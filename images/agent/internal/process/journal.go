package process

import "sync"

// Bounds of what the guest keeps of all output, in bytes. An event costs its data and what keeping it takes.
const (
	journalBytes = 1 << 20
	allBytes     = 32 << 20
	eventBytes   = 32 << 10
	eventCost    = 64
)

// Sources of events; they are the first byte of a record of `attach` (PROTOCOL.md).
const (
	fromStdout = 1
	fromStderr = 2
	fromPty    = 3
	fromExit   = 4
)

// event is one piece of output, or the exit. Its data never changes, so readers may share it.
type event struct {
	seq    uint64
	source byte
	data   []byte
}

func (e event) cost() int { return len(e.data) + eventCost }

// shelf holds all journals, under one lock and one bound: when it is full the largest journal gives way.
type shelf struct {
	mu       sync.Mutex
	limit    int
	cost     int
	journals map[*journal]bool
}

func newShelf(limit int) *shelf { return &shelf{limit: limit, journals: map[*journal]bool{}} }

// journal is the end of what a process wrote, with the numbers of its events rising by one from 1.
type journal struct {
	shelf   *shelf
	limit   int
	events  []event
	newest  uint64
	bytes   int
	cost    int
	exit    uint64
	closed  bool
	changed chan struct{}
}

func (s *shelf) open(limit int) *journal {
	j := &journal{shelf: s, limit: limit, changed: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journals[j] = true
	return j
}

// discard takes a journal from the shelf; readers that are still there see its end.
func (s *shelf) discard(j *journal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(j.events) > 0 {
		j.dropOldest()
	}
	delete(s.journals, j)
	j.finish()
}

// add appends data as events that fit into a line of the API. It never waits for a reader.
func (j *journal) add(source byte, data []byte) {
	for len(data) > 0 {
		n := min(len(data), eventBytes)
		j.append(source, append([]byte(nil), data[:n]...))
		data = data[n:]
	}
}

func (j *journal) append(source byte, data []byte) {
	j.shelf.mu.Lock()
	defer j.shelf.mu.Unlock()
	if j.closed {
		return
	}
	j.newest++
	e := event{j.newest, source, data}
	j.events = append(j.events, e)
	j.bytes += len(data)
	j.cost += e.cost()
	j.shelf.cost += e.cost()
	if source == fromExit {
		j.exit = e.seq
	}
	for j.cost > j.limit && len(j.events) > 1 {
		j.dropOldest()
	}
	j.shelf.makeRoom()
	j.wake()
}

// makeRoom is called with the lock held.
func (s *shelf) makeRoom() {
	for s.cost > s.limit {
		var largest *journal
		for j := range s.journals {
			if largest == nil || j.cost > largest.cost {
				largest = j
			}
		}
		largest.dropOldest()
	}
}

// dropOldest is called with the lock held.
func (j *journal) dropOldest() {
	e := j.events[0]
	j.events[0] = event{}
	j.events = j.events[1:]
	j.bytes -= len(e.data)
	j.cost -= e.cost()
	j.shelf.cost -= e.cost()
}

func (j *journal) wake() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// close says that nothing more comes.
func (j *journal) close() {
	j.shelf.mu.Lock()
	defer j.shelf.mu.Unlock()
	j.finish()
}

func (j *journal) finish() {
	if !j.closed {
		j.closed = true
		j.wake()
	}
}

// window is what of the output can be read.
type window struct {
	OldestSeq uint64 `json:"oldest_seq"`
	NewestSeq uint64 `json:"newest_seq"`
	Bytes     int    `json:"bytes"`
}

func (j *journal) window() window {
	j.shelf.mu.Lock()
	defer j.shelf.mu.Unlock()
	return window{j.oldest(), j.newest, j.bytes}
}

// oldest is the number of the oldest event that is kept; of an empty journal the one that comes next.
func (j *journal) oldest() uint64 {
	if len(j.events) == 0 {
		return j.newest + 1
	}
	return j.events[0].seq
}

// start is the number to read after, from the beginning of what is kept.
func (j *journal) start() uint64 {
	j.shelf.mu.Lock()
	defer j.shelf.mu.Unlock()
	return j.oldest() - 1
}

// page is some events, or what there is to know in their place.
type page struct {
	events  []event
	expired bool
	oldest  uint64
	closed  bool
	exit    uint64
	changed <-chan struct{}
}

// after returns the events behind a number, about limit bytes of them and none behind an exit. When there are none, changed says when to look again.
func (j *journal) after(seq uint64, limit int) page {
	j.shelf.mu.Lock()
	defer j.shelf.mu.Unlock()
	p := page{oldest: j.oldest(), closed: j.closed, exit: j.exit, changed: j.changed}
	if seq+1 < p.oldest {
		p.expired = true
		return p
	}
	if seq >= j.newest {
		return p
	}
	for _, e := range j.events[seq+1-p.oldest:] {
		p.events = append(p.events, e)
		if limit -= e.cost(); limit <= 0 || e.source == fromExit {
			break
		}
	}
	return p
}
