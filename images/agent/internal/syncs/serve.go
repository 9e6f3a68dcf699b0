// Package syncs is the guest's half of file synchronisation: it looks and does as it is told, the host decides (PROTOCOL.md, "sync").
package syncs

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"syscall"
	"time"

	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/users"
)

const (
	output        = 1
	formatVersion = 1
	batch         = 48 << 10
	aliveEvery    = 2 * time.Second
)

// Server serves `sync` streams; it knows which half-written files belong to a living one.
type Server struct {
	mu    sync.Mutex
	inUse map[string]bool
}

// start is the JSON of the first message.
type start struct {
	Root   string   `json:"root"`
	Create bool     `json:"create"`
	User   string   `json:"user"`
	Skip   []string `json:"skip"`
	Use    string   `json:"use"`
}

// session is one stream at work.
type session struct {
	stream  *mux.Stream
	tree    *tree
	scanner *scanner
	watch   *watcher
	current *upload

	mu   sync.Mutex
	out  []byte
	sent time.Time
}

// Serve handles one `sync` stream to its end.
func (s *Server) Serve(stream *mux.Stream) {
	in := &input{stream: stream}
	kind, payload, more := in.next()
	var wanted start
	if !more || kind != typeStart || json.Unmarshal(payload, &wanted) != nil {
		stream.Fail("bad_request", "sync begins with a start message")
		return
	}
	mine := s.claim()
	defer s.release(mine)
	se := &session{stream: stream}
	if err := se.open(wanted, mine); err != nil {
		se.send(failedMessage(0, err))
		stream.Finish(struct{}{})
		return
	}
	message := se.serve(s, in)
	// Only then the host may look at the directory as one that nobody works on.
	se.close()
	if message != "" {
		stream.Fail("bad_request", message)
		return
	}
	stream.Finish(struct{}{})
}

// serve answers messages until there are no more, and returns what was wrong with the last one.
func (se *session) serve(s *Server, in *input) string {
	s.mu.Lock()
	se.tree.sweep(s.inUse)
	s.mu.Unlock()
	se.send(begin(typeHello).u8(formatVersion).text(se.tree.path))
	for {
		if !in.ready() {
			se.flushQueued()
		}
		kind, payload, more := in.next()
		if !more {
			return ""
		}
		if !se.handle(kind, payload) {
			return "a sync message cannot be read"
		}
	}
}

func (s *Server) claim() string {
	var unique [8]byte
	_, _ = rand.Read(unique[:])
	mine := hex.EncodeToString(unique[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inUse == nil {
		s.inUse = map[string]bool{}
	}
	s.inUse[mine] = true
	return mine
}

func (s *Server) release(mine string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inUse, mine)
}

func (se *session) open(wanted start, mine string) error {
	skip, err := compile(wanted.Skip)
	if err != nil {
		return failed(codeUnsupported, "a pattern cannot be used here: %v", err)
	}
	guards, known := guarded[wanted.Use]
	if !known {
		return failed(codeUnsupported, "this agent knows no use %q of files", wanted.Use)
	}
	var who *owner
	if wanted.User != "" && wanted.User != "root" {
		user, err := users.Find("/", wanted.User)
		if err != nil {
			return failed(codeUnsupported, "%v", err)
		}
		who = &owner{int(user.UID), int(user.GID)}
	}
	if se.tree, err = openTree(wanted.Root, wanted.Create, who, mine, guards); err != nil {
		return err
	}
	se.watch = newWatcher(func() { se.send(begin(typeChanged)) })
	se.scanner = &scanner{tree: se.tree, skip: skip, watch: se.watch, known: map[string]map[string]entry{}}
	se.scanner.emit = func(path string, e entry) bool {
		return se.queue(begin(typeEntry).entry(e).text(path).text(e.Target))
	}
	return nil
}

func (se *session) close() {
	if se.current != nil {
		se.tree.drop(se.current)
	}
	se.watch.close()
	se.tree.close()
}

// send writes a message and everything that was queued before it.
func (se *session) send(m *message) bool {
	se.mu.Lock()
	defer se.mu.Unlock()
	se.out = append(se.out, m.bytes()...)
	return se.flush()
}

// queue holds a message back until there is enough to send, or nothing was sent for a while; a later send brings it along.
func (se *session) queue(m *message) bool {
	se.mu.Lock()
	defer se.mu.Unlock()
	se.out = append(se.out, m.bytes()...)
	return (len(se.out) < batch && time.Since(se.sent) < aliveEvery) || se.flush()
}

// flushQueued sends the answers to everything that has come, before waiting for more: small files cost no frame each.
func (se *session) flushQueued() {
	se.mu.Lock()
	defer se.mu.Unlock()
	if len(se.out) > 0 {
		se.flush()
	}
}

func (se *session) flush() bool {
	out := se.out
	se.sent = time.Now()
	se.out = se.out[:0]
	return se.stream.Send(output, out)
}

// handle does one request; false means that it could not be read.
func (se *session) handle(kind byte, payload []byte) bool {
	f := &fields{data: payload}
	id := f.u32()
	switch kind {
	case typePut, typeBody, typeCommit, typeAbort:
		return se.upload(kind, id, f)
	case typeScan:
		full := f.u8() == 1
		if f.bad {
			return false
		}
		se.scan(id, full)
		return true
	}
	expect := f.entry()
	path := f.text()
	extra := ""
	if kind == typeSymlink || kind == typeRename {
		extra = f.text()
	}
	if f.bad {
		return false
	}
	return se.work(kind, id, path, extra, expect)
}

func (se *session) work(kind byte, id uint32, path, extra string, expect entry) bool {
	var now entry
	var err error
	switch kind {
	case typeHash:
		now, err = se.hash(id, path, expect)
	case typeGet:
		now, err = se.get(id, path, expect)
	case typeMkdir:
		now, err = se.tree.mkdir(path, expect.Mode)
	case typeSymlink:
		now, err = se.tree.symlink(path, extra, expect)
	case typeChmod:
		now, err = se.tree.chmod(path, expect.Mode, expect)
	case typeRemove:
		err = se.tree.remove(path, expect)
	case typeRename:
		now, err = se.tree.rename(path, extra, expect)
	default:
		return false
	}
	se.finish(id, now, err)
	return true
}

func (se *session) finish(id uint32, now entry, err error) {
	if err != nil {
		se.queue(failedMessage(id, err))
		return
	}
	se.queue(begin(typeDone).u32(id).entry(now))
}

func (se *session) scan(id uint32, full bool) {
	se.tree.forget()
	err := se.scanner.scan(full)
	unwatched := entry{}
	if se.scanner.Unwatched > 0 {
		unwatched.Mode = 1
	}
	se.finish(id, unwatched, err)
}

// failedMessage says what went wrong in a code that the host acts on and words for people.
func failedMessage(id uint32, err error) *message {
	code, text := byte(codeFailed), err.Error()
	var expected *failure
	var errno syscall.Errno
	switch {
	case errors.As(err, &expected):
		code = expected.code
	case errors.As(err, &errno):
		code = codeOf(errno)
	}
	return begin(typeFailed).u32(id).u8(code).text(text[:min(len(text), 1024)])
}

func codeOf(errno syscall.Errno) byte {
	switch errno {
	case syscall.ENOENT, syscall.EEXIST, syscall.ENOTDIR, syscall.ELOOP, syscall.EISDIR:
		return codeChanged
	case syscall.ENOTEMPTY:
		return codeNotEmpty
	case syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EBUSY:
		return codeDenied
	case syscall.ENOSPC, syscall.EDQUOT:
		return codeNoSpace
	case syscall.ENAMETOOLONG, syscall.EINVAL:
		return codeBadPath
	}
	return codeFailed
}
