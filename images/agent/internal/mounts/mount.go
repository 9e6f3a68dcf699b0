package mounts

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errTimeout = errors.New("the endpoint does not answer")
	errEnded   = errors.New("s3fs has ended")
)

// mount is one S3 disk at one path. What is below turn belongs to whoever holds it.
type mount struct {
	id, path string
	door     *door
	// giveUp is closed when somebody wants it gone and does not wait for the mounting.
	giveUp chan struct{}
	once   sync.Once
	// seen is set while it can be used, for those who only look.
	seen atomic.Pointer[begun]
	// known is set once it could be used.
	known atomic.Bool

	turn    chan struct{}
	place   string
	device  string
	blocked <-chan struct{}
	program *program
}

func newMount(w Wanted) *mount {
	return &mount{id: w.ID, path: w.Path, giveUp: make(chan struct{}), turn: make(chan struct{}, 1)}
}

// take waits for the turn; it returns false when that takes too long or is no longer wanted.
func (m *mount) take(end time.Time, cancelled <-chan struct{}) bool {
	select {
	case m.turn <- struct{}{}:
		return true
	default:
	}
	select {
	case m.turn <- struct{}{}:
		return true
	case <-time.After(time.Until(end)):
	case <-cancelled:
	}
	return false
}

func (m *mount) release() { <-m.turn }

func (m *mount) abandon() { m.once.Do(func() { close(m.giveUp) }) }

func (m *mount) abandoned() bool {
	select {
	case <-m.giveUp:
		return true
	default:
		return false
	}
}

// call runs what may block in FUSE on a goroutine of its own and waits until end. One that does not return is waited for by the next
// call, so that there is never a second one.
func (m *mount) call(end time.Time, act func() error) error {
	if m.blocked != nil {
		select {
		case <-m.blocked:
		case <-time.After(time.Until(end)):
			return errTimeout
		}
	}
	result, over := make(chan error, 1), make(chan struct{})
	m.blocked = over
	go func() {
		result <- act()
		close(over)
	}()
	select {
	case err := <-result:
		m.blocked = nil
		return err
	case <-time.After(time.Until(end)):
		return errTimeout
	}
}

// awaitEnd waits until s3fs has gone.
func (m *mount) awaitEnd(end time.Time) bool {
	select {
	case <-m.program.ended:
		return true
	case <-time.After(time.Until(end)):
		return false
	}
}
