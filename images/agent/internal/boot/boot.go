// Package boot turns the initramfs into the running image: modules, root file system, mounts.
package boot

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"createos.local/agent/internal/disk"
)

const (
	modulesDir = "/modules"
	rootMark   = "-- root"
	newRoot    = "/newroot"
	deviceWait = 10 * time.Second

	lowestPriority = 19

	sysFinitModule = 313
)

// Option returns the value of key=value on the kernel command line, empty when it is not there.
func Option(key string) string {
	text, _ := os.ReadFile("/proc/cmdline")
	for _, word := range strings.Fields(string(text)) {
		if name, value, ok := strings.Cut(word, "="); ok && name == key {
			return value
		}
	}
	return ""
}

// Early mounts what everything else needs.
func Early() {
	mount("devtmpfs", "/dev", "devtmpfs", syscall.MS_NOSUID, "mode=0755")
	mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, "")
	mount("sysfs", "/sys", "sysfs", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, "")
}

// Modules are the kernel modules of the initramfs; they are read before the root moves away from under them.
type Modules struct{ before, after []module }

type module struct {
	name string
	file *os.File
}

// ReadModules opens all modules in the order of /modules/order.
func ReadModules() (Modules, error) {
	order, err := os.Open(filepath.Join(modulesDir, "order"))
	if err != nil {
		return Modules{}, err
	}
	defer order.Close()
	var found Modules
	list := &found.before
	for lines := bufio.NewScanner(order); lines.Scan(); {
		name := strings.TrimSpace(lines.Text())
		if name == rootMark {
			list = &found.after
			continue
		}
		file, err := os.Open(filepath.Join(modulesDir, name))
		if err != nil {
			Log("module %s: %v", name, err)
			continue
		}
		*list = append(*list, module{name, file})
	}
	return found, nil
}

// LoadFirst loads what the channel and the root file system need.
func (m Modules) LoadFirst() { load(m.before) }

// LoadRest loads what sandboxes may want; it takes a while under emulation and nothing waits for it.
//
// It has a thread of its own at the lowest priority: the first program is not to wait for it.
func (m Modules) LoadRest() {
	runtime.LockOSThread()
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), lowestPriority); err != nil {
		Log("priority: %v", err)
	}
	load(m.after)
}

func load(modules []module) {
	noParameters := []byte{0}
	for _, m := range modules {
		_, _, errno := syscall.Syscall(sysFinitModule, m.file.Fd(), uintptr(unsafe.Pointer(&noParameters[0])), 0)
		if errno != 0 && errno != syscall.EEXIST {
			Log("module %s: %v", m.name, errno)
		}
		_ = m.file.Close()
	}
}

// Root mounts the root file system, grows it to its device and makes it "/". The process goes on as it is.
func Root(device string) error {
	if device == "" {
		return errors.New("the kernel command line has no createos.root=DEVICE")
	}
	if err := await(device); err != nil {
		return err
	}
	if err := syscall.Mount(device, newRoot, "ext4", syscall.MS_NOATIME, ""); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	if err := disk.Grow(device, newRoot); err != nil {
		Log("the root file system keeps its size: %v", err)
	}
	for _, path := range []string{"dev", "proc", "sys"} {
		target := filepath.Join(newRoot, path)
		_ = os.Mkdir(target, 0o755)
		if err := syscall.Mount("/"+path, target, "", syscall.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move /%s: %w", path, err)
		}
	}
	return switchRoot()
}

func switchRoot() error {
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := syscall.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return os.Chdir("/")
}

// Late mounts what programs expect in a running system. What an image does not allow is left out.
func Late() {
	for path, mode := range map[string]os.FileMode{"/tmp": 0o1777, "/run": 0o755, "/root": 0o700, "/etc": 0o755} {
		if err := os.Mkdir(path, mode&0o777); err == nil && mode&0o1000 != 0 {
			_ = os.Chmod(path, mode&0o777|os.ModeSticky)
		}
	}
	mount("devpts", "/dev/pts", "devpts", syscall.MS_NOSUID|syscall.MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666")
	mount("tmpfs", "/dev/shm", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=1777")
	mount("tmpfs", "/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0755")
	mount("cgroup2", "/sys/fs/cgroup", "cgroup2", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, "")
	for link, target := range map[string]string{
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "fd/0", "/dev/stdout": "fd/1", "/dev/stderr": "fd/2",
	} {
		_ = os.Symlink(target, link)
	}
	limit := syscall.Rlimit{Cur: 1 << 16, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		Log("open files: %v", err)
	}
}

// Log writes a line to the console.
func Log(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "createos-agent: "+format+"\n", values...)
}

func mount(source, target, kind string, flags uintptr, options string) {
	if err := os.Mkdir(target, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		Log("%s: %v", target, err)
		return
	}
	if err := syscall.Mount(source, target, kind, flags, options); err != nil && err != syscall.EBUSY {
		Log("mount %s: %v", target, err)
	}
}

// await waits for a device that the kernel may find a moment later.
func await(device string) error {
	for end := time.Now().Add(deviceWait); ; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(device); err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("there is no %s", device)
		}
	}
}
