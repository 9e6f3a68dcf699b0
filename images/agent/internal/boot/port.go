package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"createos.local/agent/internal/nonblock"
)

const portName = "createos.agent.0"

// Port is the virtio-serial port to the host. It never blocks a thread: a blocking write would spin in the kernel until
// QEMU has taken the bytes, and a blocking read would hold up all other goroutines of a guest with one processor until
// the runtime notices. One goroutine reads; the lock of the mux lets one write at a time.
type Port struct {
	// Kept: the descriptor is closed when nothing refers to its file.
	file *os.File
	raw  syscall.RawConn
}

// OpenPort finds the port by its name.
func OpenPort() (*Port, error) {
	for end := time.Now().Add(deviceWait); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, name := range names {
			text, _ := os.ReadFile(name)
			if strings.TrimSpace(string(text)) == portName {
				fd, err := syscall.Open(filepath.Join("/dev", filepath.Base(filepath.Dir(name))), syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
				if err != nil {
					return nil, err
				}
				file := os.NewFile(uintptr(fd), portName)
				raw, err := file.SyscallConn()
				return &Port{file, raw}, err
			}
		}
	}
	return nil, fmt.Errorf("there is no port %s", portName)
}

// Read returns io.EOF while no host is connected.
func (p *Port) Read(buffer []byte) (int, error) { return nonblock.Read(p.raw, buffer) }

// Write writes everything, waiting for a host when there is none.
func (p *Port) Write(data []byte) (int, error) { return nonblock.Write(p.raw, data) }

// Gone waits a moment for the next host: the port says "no host" at once, again and again.
func Gone() { time.Sleep(5 * time.Millisecond) }
