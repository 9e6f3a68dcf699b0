package mounts

import (
	"encoding/json"
	"errors"
	"os"
	"syscall"
	"time"

	"createos.local/agent/internal/mux"
)

const (
	noFollow = 8

	// What a forced end takes beyond its deadline: the first when something else holds the mount up, else the others.
	turnWait   = 1500 * time.Millisecond
	detachWait = 200 * time.Millisecond
	abortWait  = 800 * time.Millisecond
	killWait   = 400 * time.Millisecond
)

var errBusy = errors.New("a program in the sandbox uses it")

type how string

const (
	clean  how = "clean"
	lazy   how = "lazy"
	killed how = "killed"
	gone   how = "gone"
)

// Unmount handles an `unmount` stream.
func (s *Server) Unmount(stream *mux.Stream) {
	var request struct {
		ID         string `json:"id"`
		Force      bool   `json:"force"`
		DeadlineMs int64  `json:"deadline_ms"`
	}
	if err := json.Unmarshal(stream.Request, &request); err != nil {
		stream.Fail("bad_request", "unmount needs an id")
		return
	}
	result, err := s.unmount(request.ID, request.Force, deadline(request.DeadlineMs))
	switch err {
	case nil:
		stream.Finish(map[string]how{"how": result})
	case errBusy:
		stream.Fail("busy", err.Error())
	case errTimeout:
		stream.Fail("timeout", err.Error())
	default:
		stream.Fail("failed", err.Error())
	}
}

func deadline(ms int64) time.Time {
	return time.Now().Add(min(max(shortestDeadline, time.Duration(ms)*time.Millisecond), longestDeadline))
}

func (s *Server) unmount(id string, force bool, end time.Time) (how, error) {
	m := s.find(id)
	if m == nil {
		return gone, nil
	}
	if !m.take(end, nil) {
		if !force {
			return "", errTimeout
		}
		m.abandon()
		if seen := m.seen.Load(); seen != nil {
			s.abort(seen.device)
		}
		if !m.take(time.Now().Add(turnWait), nil) {
			return "", errTimeout
		}
	}
	defer m.release()
	if s.find(id) != m {
		return gone, nil
	}
	result, err := s.finish(m, force, end)
	if err == nil {
		s.clear(m)
		s.drop(m)
	}
	return result, err
}

// finish ends a mount whose turn is ours.
func (s *Server) finish(m *mount, force bool, end time.Time) (how, error) {
	if m.program == nil || !m.program.alive() {
		s.tearDown(m)
		return gone, nil
	}
	err := s.letGo(m, end)
	if err == errBusy && force {
		_ = s.writeOut(m, end)
	}
	switch {
	case err == nil:
		return clean, nil
	case force:
		return s.tearDown(m), nil
	}
	return "", err
}

// letGo unmounts what nobody uses and waits for s3fs to end, by which everything is written.
func (s *Server) letGo(m *mount, end time.Time) error {
	if seen, there := s.there(m); there {
		place := m.place
		err := m.call(end, func() error {
			// By the time of its turn what hung before may have taken it away, and the cover is uppermost.
			if now, _ := s.System.at(place); now != seen {
				return nil
			}
			return s.System.Unmount(s.System.file(place), noFollow)
		})
		switch {
		case err == syscall.EBUSY:
			return errBusy
		case err != nil && err != syscall.EINVAL:
			return err
		}
	}
	if !m.awaitEnd(end) {
		return errTimeout
	}
	return nil
}

func (s *Server) there(m *mount) (point, bool) {
	found, mounted := s.System.at(m.place)
	return found, mounted && found.kind == kind && (m.device == "" || found.device == m.device)
}

// tearDown ends a mount whatever uses it and whatever its endpoint does: it is taken out of the tree, everything that waits for it
// fails, and s3fs is killed unless it goes by itself.
func (s *Server) tearDown(m *mount) how {
	defer s.clear(m)
	if point, mounted := s.System.at(m.place); m.place != "" && mounted && point.kind == kind {
		m.device = point.device
		s.detach(m.place)
	}
	if m.program == nil {
		return lazy
	}
	if m.device != "" {
		s.abort(m.device)
		if m.awaitEnd(time.Now().Add(abortWait)) {
			return lazy
		}
	}
	m.program.kill()
	m.awaitEnd(time.Now().Add(killWait))
	return killed
}

// detach takes what is uppermost at a place out of the tree, whoever uses it, and waits a moment for that.
func (s *Server) detach(place string) {
	detached := make(chan struct{})
	go func() {
		_ = s.System.Unmount(s.System.file(place), syscall.MNT_DETACH|noFollow)
		close(detached)
	}()
	select {
	case <-detached:
	case <-time.After(detachWait):
	}
}

// abort makes the kernel fail all that waits for a FUSE mount.
func (s *Server) abort(device string) {
	file, err := os.OpenFile(s.System.file("sys/fs/fuse/connections", point{device: device}.minor(), "abort"), os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = file.WriteString("1")
}

// clear removes the files of a mount.
func (s *Server) clear(m *mount) {
	_ = os.RemoveAll(s.System.file(keysPath, m.id))
	_ = os.RemoveAll(s.System.file(scratchPath, m.id))
	m.seen.Store(nil)
	m.program, m.device = nil, ""
}
