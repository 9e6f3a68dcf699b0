package mounts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	patience = 15 * time.Second
	// How long s3fs may take to say why it ends after its mount point has gone.
	lastWait = time.Second

	keysPath    = "/run/createos/mounts"
	scratchPath = "/var/lib/createos/mounts"
)

// begun is what is known of a mount once it can be used.
type begun struct {
	program       *program
	place, device string
}

// mount makes a mount usable, or takes back what it has begun. One that is usable stays as it is.
func (s *Server) mount(m *mount, w Wanted, cancelled <-chan struct{}) *failure {
	if !m.take(time.Now().Add(patience), cancelled) {
		return &failure{"timeout", errors.New("something else is still being done with this mount")}
	}
	defer m.release()
	if s.find(m.id) != m {
		return &failure{"cancelled", errors.New("it was unmounted meanwhile")}
	}
	if seen := m.seen.Load(); seen != nil {
		if s.lost(seen) == nil {
			return nil
		}
		s.tearDown(m)
	}
	failed := s.begin(m, w, cancelled)
	if failed != nil {
		s.tearDown(m)
		s.rest(m)
	}
	return failed
}

func (s *Server) begin(m *mount, w Wanted, cancelled <-chan struct{}) *failure {
	place := ""
	err := m.call(time.Now().Add(patience), func() (err error) {
		place, err = s.prepare(w.Path)
		return err
	})
	if err == errTimeout {
		return &failure{"timeout", errors.New("the path leads into something that does not answer")}
	}
	if err != nil {
		return &failure{"bad_path", err}
	}
	if failed := s.cover(m, place); failed != nil {
		return failed
	}
	if failed := s.setUp(cancelled); failed != nil {
		return failed
	}
	if err := s.start(m, w); err != nil {
		return &failure{"failed", err}
	}
	return s.awaitMount(m, cancelled)
}

// prepare makes the directory and returns where it really is.
func (s *Server) prepare(target string) (string, error) {
	if err := os.MkdirAll(s.System.file(target), 0o755); err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			return "", fmt.Errorf("%s is not a directory", target)
		}
		return "", err
	}
	real, err := filepath.EvalSymlinks(s.System.file(target))
	if err != nil {
		return "", err
	}
	place := "/" + strings.TrimPrefix(strings.TrimPrefix(real, filepath.Clean(s.System.Root)), "/")
	if err := checkPath(place); err != nil {
		return "", err
	}
	if point, mounted := s.System.at(place); mounted && point.kind == kind {
		return "", fmt.Errorf("another disk is mounted at %s", place)
	}
	directory, err := os.Open(real)
	if err != nil {
		return "", err
	}
	defer directory.Close()
	return place, empty(directory, target)
}

// setUp sees to it that there is s3fs, and a kernel that knows FUSE.
func (s *Server) setUp(cancelled <-chan struct{}) *failure {
	s.settingUp.Lock()
	defer s.settingUp.Unlock()
	if err := s.System.tools(cancelled); err != nil {
		return &failure{"no_tools", err}
	}
	if _, err := os.Stat(s.System.file("dev/fuse")); err != nil {
		s.Idle()
	}
	if _, err := os.Stat(s.System.file("dev/fuse")); err != nil {
		return &failure{"no_fuse", errors.New("the kernel has no FUSE")}
	}
	if _, err := os.Stat(s.System.file("sys/fs/fuse/connections")); err == nil {
		_ = s.System.Mount("fusectl", s.System.file("sys/fs/fuse/connections"), "fusectl", 0, "")
	}
	return nil
}

func (s *Server) start(m *mount, w Wanted) error {
	private, scratch := s.System.file(keysPath, w.ID), s.System.file(scratchPath, w.ID)
	for _, directory := range []string{private, scratch} {
		if err := os.RemoveAll(directory); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(directory), 0o700); err != nil {
			return err
		}
		if err := os.Mkdir(directory, 0o700); err != nil {
			return err
		}
	}
	secret := filepath.Join(private, "keys")
	if err := os.WriteFile(secret, []byte(keys(w)), 0o600); err != nil {
		return err
	}
	url := w.URL
	if url == "" {
		url = m.door.url()
	}
	tools := s.System.file(toolsPath)
	trusted := tools + "/etc/ca-certificates.crt"
	if w.Authorities != "" {
		// They stay: unlike the keys, they are read for every connection.
		trusted = filepath.Join(scratch, "authorities.pem")
		if err := os.WriteFile(trusted, []byte(w.Authorities), 0o600); err != nil {
			return err
		}
	}
	w.Path = s.System.file(m.place)
	line := argv(w, tools, options(w, url, secret, scratch, tools+"/etc/mime.types"))
	environment := []string{"HOME=/", "LC_ALL=C", "CURL_CA_BUNDLE=" + trusted, "OPENSSL_CONF=/dev/null"}
	started, err := launch(s.Reaper, tools+"/lib/ld.so", line, environment, []string{w.SecretKey, w.AccessKey})
	if err != nil {
		return err
	}
	m.program = started
	return nil
}

// awaitMount waits until the mount answers. s3fs makes it before it has seen the bucket, and ends with 0 when it cannot: only an
// answer says that all is well.
func (s *Server) awaitMount(m *mount, cancelled <-chan struct{}) *failure {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var answer chan error
	for {
		select {
		case <-m.program.ended:
			return &failure{"failed", lastWordsOf(m.program)}
		case err := <-answer:
			if err != nil {
				m.awaitEnd(time.Now().Add(lastWait))
				return &failure{"failed", lastWordsOf(m.program)}
			}
			_ = os.RemoveAll(s.System.file(keysPath, m.id))
			m.known.Store(true)
			m.seen.Store(&begun{m.program, m.place, m.device})
			return nil
		case <-timer.C:
			return &failure{"timeout", fmt.Errorf("the bucket does not answer: %w", lastWordsOf(m.program))}
		case <-cancelled:
			return &failure{"cancelled", errCancelled}
		case <-m.giveUp:
			return &failure{"cancelled", errors.New("it was unmounted meanwhile")}
		case <-time.After(poll):
		}
		if point, mounted := s.System.at(m.place); answer == nil && mounted && point.kind == kind {
			m.device = point.device
			answer = make(chan error, 1)
			go func() { answer <- s.System.Answers(s.System.file(m.place)) }()
		}
	}
}

func lastWordsOf(p *program) error {
	if said := p.words.last(); said != "" {
		return errors.New(said)
	}
	return errEnded
}

// lost says why a mount cannot be used any more, nil when it can.
func (s *Server) lost(b *begun) error {
	if !b.program.alive() {
		return lastWordsOf(b.program)
	}
	if point, mounted := s.System.at(b.place); !mounted || point.kind != kind || point.device != b.device {
		return errors.New("somebody in the sandbox has unmounted it")
	}
	return nil
}
