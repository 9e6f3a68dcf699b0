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
	serial    = "createos-tools"
	toolsPath = "/run/createos/tools"
	toolsWait = 5 * time.Second
	poll      = 10 * time.Millisecond
)

var errCancelled = errors.New("the host has cancelled it")

// tools mounts the disk with s3fs unless it is mounted, waiting for the kernel to find it.
func (s System) tools(cancelled <-chan struct{}) error {
	if _, mounted := s.at(toolsPath); mounted {
		return nil
	}
	device := ""
	for end := time.Now().Add(toolsWait); device == ""; device = s.toolsDevice() {
		select {
		case <-cancelled:
			return errCancelled
		case <-time.After(poll):
		}
		if time.Now().After(end) {
			return fmt.Errorf("no disk has the serial %s", serial)
		}
	}
	if err := os.MkdirAll(s.file(toolsPath), 0o755); err != nil {
		return err
	}
	flags := uintptr(syscall.MS_RDONLY | syscall.MS_NODEV | syscall.MS_NOSUID | syscall.MS_NOATIME)
	if err := s.Mount(device, s.file(toolsPath), "ext4", flags, ""); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	return nil
}

func (s System) toolsDevice() string {
	found, _ := filepath.Glob(s.file("sys/block/*/serial"))
	for _, file := range found {
		text, _ := os.ReadFile(file)
		name := filepath.Base(filepath.Dir(file))
		if strings.TrimSpace(string(text)) == serial {
			if _, err := os.Stat(s.file("dev", name)); err == nil {
				return s.file("dev", name)
			}
		}
	}
	return ""
}
