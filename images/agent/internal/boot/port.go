package boot

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const portName = "createos.agent.0"

// Port is the virtio-serial port to the host, used with blocking system calls: one thread reads, the lock of the
// mux lets one write at a time.
type Port struct{ fd int }

// OpenPort finds the port by its name.
func OpenPort() (*Port, error) {
	for end := time.Now().Add(deviceWait); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, name := range names {
			text, _ := os.ReadFile(name)
			if strings.TrimSpace(string(text)) == portName {
				fd, err := syscall.Open(filepath.Join("/dev", filepath.Base(filepath.Dir(name))), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
				return &Port{fd}, err
			}
		}
	}
	return nil, fmt.Errorf("there is no port %s", portName)
}

// Read returns io.EOF while no host is connected.
func (p *Port) Read(buffer []byte) (int, error) {
	for {
		n, err := syscall.Read(p.fd, buffer)
		switch {
		case err == syscall.EINTR || err == syscall.EAGAIN:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write writes everything, waiting for a host when there is none.
func (p *Port) Write(data []byte) (int, error) {
	written := 0
	for written < len(data) {
		n, err := syscall.Write(p.fd, data[written:])
		if err != nil && err != syscall.EINTR && err != syscall.EAGAIN {
			return written, err
		}
		written += max(n, 0)
	}
	return written, nil
}

// Gone waits a moment for the next host: the port says "no host" at once, again and again.
func Gone() { time.Sleep(5 * time.Millisecond) }
