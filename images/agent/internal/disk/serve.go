package disk

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"createos.local/agent/internal/mux"
)

// The kernel hears of a larger disk by an interrupt; that may come after the host's request.
const (
	growthWait = 10 * time.Second
	growthPoll = 5 * time.Millisecond
)

// Serve answers a `grow`: the file system on device, mounted at mounted, becomes as large as the disk, which has or will
// soon have the size of the request.
func Serve(stream *mux.Stream, device, mounted string) {
	var request struct {
		Bytes int64 `json:"bytes"`
	}
	if err := json.Unmarshal(stream.Request, &request); err != nil || request.Bytes <= 0 {
		stream.Fail("bad_request", "grow needs bytes")
		return
	}
	if err := await(device, request.Bytes, growthWait); err != nil {
		stream.Fail("failed", err.Error())
		return
	}
	if err := Grow(device, mounted); err != nil {
		stream.Fail("failed", err.Error())
		return
	}
	var status syscall.Statfs_t
	if err := syscall.Statfs(mounted, &status); err != nil {
		stream.Fail("failed", err.Error())
		return
	}
	stream.Finish(map[string]uint64{"bytes": status.Blocks * uint64(status.Bsize)})
}

// await waits until a device has at least so many bytes.
func await(device string, bytes int64, wait time.Duration) error {
	file, err := os.Open(device)
	if err != nil {
		return err
	}
	defer file.Close()
	for end := time.Now().Add(wait); ; time.Sleep(growthPoll) {
		size, err := file.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if size >= bytes {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s has %d bytes and not the %d that were announced", device, size, bytes)
		}
	}
}
