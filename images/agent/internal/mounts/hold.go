package mounts

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"createos.local/agent/internal/mux"
)

// Hold handles a `hold` stream: what was written is at the endpoints afterwards.
func (s *Server) Hold(stream *mux.Stream) {
	var request struct {
		DeadlineMs int64 `json:"deadline_ms"`
	}
	if err := json.Unmarshal(stream.Request, &request); err != nil {
		stream.Fail("bad_request", "hold needs a deadline")
		return
	}
	type failed struct {
		ID    string `json:"id"`
		Error string `json:"error"`
	}
	result := struct {
		Unmounted []string `json:"unmounted"`
		Kept      []string `json:"kept"`
		Failed    []failed `json:"failed"`
	}{[]string{}, []string{}, []failed{}}
	end := deadline(request.DeadlineMs)
	var mu sync.Mutex
	var each sync.WaitGroup
	for _, m := range s.all() {
		each.Add(1)
		go func() {
			defer each.Done()
			kept, err := s.hold(m, end)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				result.Failed = append(result.Failed, failed{m.id, err.Error()})
			case kept:
				result.Kept = append(result.Kept, m.id)
			default:
				result.Unmounted = append(result.Unmounted, m.id)
			}
		}()
	}
	each.Wait()
	stream.Finish(result)
}

// hold unmounts what nobody uses; of a mount that is kept it writes out all that is open.
func (s *Server) hold(m *mount, end time.Time) (kept bool, err error) {
	if !m.take(end, nil) {
		return false, errors.New("something else is still being done with this mount")
	}
	defer m.release()
	if s.find(m.id) != m {
		return false, nil
	}
	_, err = s.finish(m, false, end)
	if err == errBusy {
		return true, s.writeOut(m, end)
	}
	if err == nil {
		s.clear(m)
		s.rest(m)
	}
	return false, err
}

// writeOut has every file written to its endpoint that some process has open for writing.
func (s *Server) writeOut(m *mount, end time.Time) error {
	var first error
	for _, one := range s.System.openForWriting(m.device) {
		err := m.call(end, func() error { return s.System.Sync(one.pid, one.fd) })
		vanished := err == syscall.ESRCH || err == syscall.EBADF
		if err != nil && !vanished && first == nil {
			first = err
		}
		if err == errTimeout {
			break
		}
	}
	return first
}

type descriptor struct{ pid, fd int }

// openForWriting finds them by the mounts that each process sees: nothing of the file system itself is asked.
func (s System) openForWriting(device string) []descriptor {
	var found []descriptor
	mounts := map[string]map[string]bool{}
	for _, process := range numbers(s.file("proc")) {
		pid := strconv.Itoa(process)
		space, _ := os.Readlink(s.file("proc", pid, "ns/mnt"))
		ids, known := mounts[space]
		if !known {
			ids = s.mountIDs(pid, device)
			mounts[space] = ids
		}
		for _, fd := range numbers(s.file("proc", pid, "fdinfo")) {
			text, _ := os.ReadFile(s.file("proc", pid, "fdinfo", strconv.Itoa(fd)))
			if id, writes := parseInfo(string(text)); writes && ids[id] {
				found = append(found, descriptor{process, fd})
			}
		}
	}
	return found
}

// mountIDs are the numbers by which the processes of a mount namespace know a device.
func (s System) mountIDs(pid, device string) map[string]bool {
	ids := map[string]bool{}
	for _, one := range s.points(pid) {
		if one.device == device {
			ids[one.id] = true
		}
	}
	return ids
}

func parseInfo(text string) (mountID string, writes bool) {
	for _, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); key {
		case "mnt_id":
			mountID = value
		case "flags":
			flags, _ := strconv.ParseUint(value, 8, 64)
			writes = flags&syscall.O_ACCMODE != syscall.O_RDONLY
		}
	}
	return mountID, writes
}

func numbers(directory string) []int {
	entries, _ := os.ReadDir(directory)
	var found []int
	for _, entry := range entries {
		if number, err := strconv.Atoi(entry.Name()); err == nil {
			found = append(found, number)
		}
	}
	return found
}

const (
	sysPidfdOpen  = 434
	sysPidfdGetfd = 438
)

// syncFile does what fsync does in the process that has the file open; s3fs knows the file by that very opening.
func syncFile(pid, fd int) error {
	process, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(pid), 0, 0)
	if errno != 0 {
		return errno
	}
	defer syscall.Close(int(process))
	copied, _, errno := syscall.Syscall(sysPidfdGetfd, process, uintptr(fd), 0)
	if errno != 0 {
		return errno
	}
	defer syscall.Close(int(copied))
	return syscall.Fsync(int(copied))
}
