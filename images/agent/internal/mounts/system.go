package mounts

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	kind      = "fuse.s3fs"
	fuseMagic = 0x65735546
)

// System is the part of the machine that mounts need. Root is "/" in a guest; tests have a directory and functions of their own.
type System struct {
	Root    string
	Mount   func(source, target, kind string, flags uintptr, data string) error
	Unmount func(target string, flags int) error
	// Answers returns when a FUSE mount has answered, which may take forever.
	Answers func(target string) error
	// Sync writes out what process pid has open as fd, which may take forever.
	Sync func(pid, fd int) error
}

// Guest is the system of the guest that this program runs in.
func Guest() System {
	return System{Root: "/", Mount: syscall.Mount, Unmount: syscall.Unmount, Answers: answers, Sync: syncFile}
}

func (s System) file(parts ...string) string {
	return filepath.Join(append([]string{s.Root}, parts...)...)
}

// answers asks for the figures of a file system: s3fs answers when it has seen the bucket, and ends when it has not.
func answers(target string) error {
	var figures syscall.Statfs_t
	if err := syscall.Statfs(target, &figures); err != nil {
		return err
	}
	if figures.Type != fuseMagic {
		return errors.New("it was unmounted again")
	}
	return nil
}

// point is one line of a mountinfo.
type point struct {
	id, device, path, kind, source string
}

// minor is the name that the kernel has for the connection of a FUSE mount.
func (p point) minor() string {
	_, minor, _ := strings.Cut(p.device, ":")
	return minor
}

// points reads the mounts that a process sees, "self" being this one.
func (s System) points(process string) []point {
	text, _ := os.ReadFile(s.file("proc", process, "mountinfo"))
	var found []point
	for _, line := range strings.Split(string(text), "\n") {
		before, after, ok := strings.Cut(line, " - ")
		fields, kinds := strings.Fields(before), strings.Fields(after)
		if ok && len(fields) >= 5 && len(kinds) >= 2 {
			found = append(found, point{fields[0], fields[2], unescaped(fields[4]), kinds[0], kinds[1]})
		}
	}
	return found
}

// at returns the mount that is uppermost at a path.
func (s System) at(target string) (point, bool) {
	found, ok := point{}, false
	for _, one := range s.points("self") {
		if one.path == target {
			found, ok = one, true
		}
	}
	return found, ok
}

// unescaped undoes what the kernel does to spaces and backslashes: \040.
func unescaped(field string) string {
	if !strings.Contains(field, `\`) {
		return field
	}
	var text strings.Builder
	for i := 0; i < len(field); i++ {
		if field[i] == '\\' && i+4 <= len(field) {
			if code, err := strconv.ParseUint(field[i+1:i+4], 8, 8); err == nil {
				text.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		text.WriteByte(field[i])
	}
	return text.String()
}
