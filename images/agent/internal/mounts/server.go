// Package mounts puts S3 disks into the file system of a guest: one supervised s3fs for each.
package mounts

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"createos.local/agent/internal/dial"
	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/reap"
)

const (
	most = 32
	// An accept may come before the mount that it belongs to.
	acceptGrace = 2 * time.Second

	shortestDeadline = 100 * time.Millisecond
	longestDeadline  = 5 * time.Minute
)

// Server has the mounts of a guest; they outlive the epochs of the channel.
type Server struct {
	System System
	Reaper *reap.Reaper
	// Idle returns when the kernel's modules are loaded.
	Idle func()

	mu     sync.Mutex
	mounts map[string]*mount
	order  []*mount
	// places are the real directories that are covered, and for which mount.
	places map[string]*mount
	// settingUp keeps two mounts from mounting the tools disk at once.
	settingUp sync.Mutex
}

// Handler returns what serves a kind of stream, nil when it is none of these.
func (s *Server) Handler(kind string) mux.Handler {
	return map[string]mux.Handler{
		"mount":   s.Mount,
		"accept":  s.Accept,
		"mounts":  s.List,
		"unmount": s.Unmount,
		"hold":    s.Hold,
	}[kind]
}

// Mount handles a `mount` stream.
func (s *Server) Mount(stream *mux.Stream) {
	var wanted Wanted
	if err := json.Unmarshal(stream.Request, &wanted); err != nil {
		stream.Fail("bad_request", "the request is not one for a mount")
		return
	}
	if code, err := wanted.check(); err != nil {
		stream.Fail(code, err.Error())
		return
	}
	m, failed := s.enter(wanted)
	if failed == nil {
		failed = s.mount(m, wanted, stream.Cancelled)
	}
	if failed != nil {
		stream.Fail(failed.code, failed.err.Error())
		return
	}
	stream.Finish(struct{}{})
}

// failure is an error with its code of PROTOCOL.md.
type failure struct {
	code string
	err  error
}

// enter returns the mount with this id, a new one when there is none yet.
func (s *Server) enter(w Wanted) (*mount, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.order {
		if (other.id == w.ID) != (other.path == w.Path) {
			return nil, &failure{"busy", fmt.Errorf("another disk is mounted at %s or has this id", w.Path)}
		}
		if other.id == w.ID {
			return other, other.open(w)
		}
	}
	if len(s.order) >= most {
		return nil, &failure{"too_many", fmt.Errorf("%d disks are mounted, and more cannot be", most)}
	}
	m := newMount(w)
	if failed := m.open(w); failed != nil {
		return nil, failed
	}
	if s.mounts == nil {
		s.mounts = map[string]*mount{}
	}
	s.mounts[m.id] = m
	s.order = append(s.order, m)
	return m, nil
}

// open gives a mount whose s3fs asks the host its door; the mutex is the caller's.
func (m *mount) open(w Wanted) *failure {
	if w.URL != "" || m.door != nil {
		return nil
	}
	door, err := openDoor()
	if err != nil {
		return &failure{"failed", err}
	}
	m.door = door
	return nil
}

// forget drops a mount that is gone.
func (s *Server) forget(m *mount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mounts[m.id] != m {
		return
	}
	delete(s.mounts, m.id)
	for i, other := range s.order {
		if other == m {
			s.order = append(s.order[:i:i], s.order[i+1:]...)
			break
		}
	}
	if m.door != nil {
		m.door.close()
	}
}

func (s *Server) find(id string) *mount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mounts[id]
}

func (s *Server) doorOf(id string) *door {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mounts[id]; m != nil {
		return m.door
	}
	return nil
}

func (s *Server) all() []*mount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*mount(nil), s.order...)
}

// Accept handles an `accept` stream.
func (s *Server) Accept(stream *mux.Stream) {
	var request struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(stream.Request, &request)
	door := s.doorOf(request.ID)
	for end := time.Now().Add(acceptGrace); door == nil && time.Now().Before(end); door = s.doorOf(request.ID) {
		select {
		case <-stream.Cancelled:
			stream.Fail("cancelled", "the host has cancelled it")
			return
		case <-time.After(poll):
		}
	}
	if door == nil {
		stream.Fail("no_mount", "there is no such mount")
		return
	}
	for {
		select {
		case connection := <-door.connections:
			if abandoned(connection) {
				_ = connection.Close()
				continue
			}
			dial.Carry(stream, connection)
		case <-door.closed:
			stream.Fail("no_mount", "the mount is gone")
		case <-stream.Cancelled:
			stream.Fail("cancelled", "the host has cancelled it")
		}
		return
	}
}

// List handles a `mounts` stream; it asks no file system.
func (s *Server) List(stream *mux.Stream) {
	type state struct {
		ID    string `json:"id"`
		Path  string `json:"path"`
		State string `json:"state"`
		Error string `json:"error,omitempty"`
	}
	found := []state{}
	for _, m := range s.all() {
		seen := m.seen.Load()
		one := state{ID: m.id, Path: m.path, State: "mounted"}
		switch {
		case seen == nil && !m.known.Load():
			continue
		case seen == nil:
			one.State = "ended"
		default:
			if err := s.lost(seen); err != nil {
				one.State, one.Error = "ended", err.Error()
			}
		}
		found = append(found, one)
	}
	stream.Finish(map[string][]state{"mounts": found})
}
