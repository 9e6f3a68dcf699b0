package mounts

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"createos.local/agent/internal/reap"
)

const (
	lastWords = 300
	keptWords = 4 << 10
	wordsWait = 500 * time.Millisecond
)

// program is a running s3fs. Ended is closed when it has gone and its last words are read.
type program struct {
	pid   int
	ended chan struct{}
	words *words
}

// options of s3fs, each with its reason. Times are short: behind the URL is the host, which gives up after some ten seconds itself.
func options(w Wanted, url, keys, scratch, mimeTypes string) []string {
	chosen := []string{
		"url=" + url,
		"passwd_file=" + keys,
		// Everybody in the sandbox may use the disk: objects that other programs have made have neither owner nor mode.
		"allow_other", "umask=0000", "nosuid", "nodev",
		// Other writers of the bucket are seen after so many seconds.
		"stat_cache_expire=5", "enable_noobj_cache",
		// A write reaches s3fs as a whole instead of a page at a time.
		"big_writes", "max_write=131072",
		"connect_timeout=4", "readwrite_timeout=20", "retries=2",
		// A guest has one or two CPUs, and each request is a connection that the host carries.
		"parallel_count=2", "multireq_max=6",
		// On the disk, not on a tmpfs: s3fs keeps whole files there. It refuses to fill the last of it.
		"tmpdir=" + scratch, "ensure_diskfree=64",
		"mime=" + mimeTypes,
		"dbglevel=warn",
	}
	if w.PathStyle || w.URL == "" {
		chosen = append(chosen, "use_path_request_style")
	}
	if w.URL == "" {
		// The host signs anew, so the older signature is enough: it needs no SHA-256 of what is written. The host finds
		// folders of every kind too (engine/createos_engine/s3/folders.py).
		chosen = append(chosen, "sigv2", "notsup_compat_dir")
	} else {
		// Else it tries keys that were refused once more with the older signature.
		chosen = append(chosen, "sigv4")
	}
	if w.Region != "" {
		chosen = append(chosen, "endpoint="+w.Region)
	}
	return chosen
}

// argv runs s3fs with the loader and the libraries of the tools disk, in the foreground.
func argv(w Wanted, tools string, options []string) []string {
	source := w.Bucket
	if w.Prefix != "" {
		source += ":/" + w.Prefix
	}
	return []string{
		"s3fs", "--inhibit-cache", "--argv0", "s3fs", "--library-path", tools + "/lib", tools + "/bin/s3fs",
		source, w.Path, "-f", "-o", strings.Join(options, ","),
	}
}

// keys returns the line of the file with the keys; made-up ones where the host signs.
func keys(w Wanted) string {
	if w.URL != "" {
		return w.AccessKey + ":" + w.SecretKey + "\n"
	}
	var made [16]byte
	_, _ = rand.Read(made[:])
	return "createos:" + hex.EncodeToString(made[:]) + "\n"
}

// launch starts s3fs in a session of its own; it inherits nothing of the guest's environment, no proxy above all.
func launch(reaper *reap.Reaper, loader string, argv []string, environment []string, secrets []string) (*program, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer write.Close()
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   environment,
		Files: []uintptr{null.Fd(), write.Fd(), write.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	pid, status, err := reaper.Start(loader, argv, attr)
	if err != nil {
		read.Close()
		return nil, err
	}
	started := &program{pid: pid, ended: make(chan struct{}), words: &words{secrets: secrets}}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(started.words, read)
	}()
	go func() {
		<-status
		// What it left behind may hold the pipe; its own words are there by now, or will never be.
		select {
		case <-heard:
		case <-time.After(wordsWait):
		}
		_ = read.Close()
		close(started.ended)
	}()
	return started, nil
}

func (p *program) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *program) kill() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }

var (
	// What s3fs says besides the reason: its arguments, where it has its tables from, the XML of answers.
	chatter = regexp.MustCompile(`\[INF\]|change debug level|<|Exiting FUSE event loop`)
	// 2026-11-26T07:22:52.545Z [ERR] curl.cpp:RequestPerform(2316):
	prefix = regexp.MustCompile(`^\S+Z \[[A-Z]+\] +\S+\(\d+\): `)
)

// words keeps the end of what s3fs prints.
type words struct {
	mu      sync.Mutex
	text    []byte
	secrets []string
}

func (w *words) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, data...)
	if extra := len(w.text) - keptWords; extra > 0 {
		w.text = append(w.text[:0], w.text[extra:]...)
	}
	return len(data), nil
}

// last returns the end of it in one line, without keys.
func (w *words) last() string {
	w.mu.Lock()
	text := string(w.text)
	w.mu.Unlock()
	for _, secret := range w.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	var said []string
	for _, line := range strings.Split(text, "\n") {
		if !chatter.MatchString(line) {
			said = append(said, strings.Fields(prefix.ReplaceAllString(line, ""))...)
		}
	}
	text = strings.ToValidUTF8(strings.Join(said, " "), "?")
	if len(text) > lastWords {
		text = strings.ToValidUTF8(text[len(text)-lastWords:], "")
	}
	return text
}
