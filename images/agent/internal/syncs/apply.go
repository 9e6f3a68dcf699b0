package syncs

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// The bits of a mode that the host decides; write permission of group and others, setuid and the like stay as they are.
const (
	sharedMode = 0o755
	localMode  = 0o7022
)

// upload is a file that is being written; it becomes visible when it is whole.
type upload struct {
	id     uint32
	path   string
	expect entry
	mode   uint16
	fd     int
	temp   string
	size   uint64
}

func (t *tree) begin(up *upload) error {
	staging, err := t.stage()
	if err != nil {
		return err
	}
	up.temp = strconv.FormatUint(uint64(up.id), 10)
	up.fd, err = openAt(staging, up.temp, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o600)
	return err
}

func (up *upload) write(data []byte) error {
	up.size += uint64(len(data))
	for len(data) > 0 {
		n, err := syscall.Write(up.fd, data)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// drop forgets a file that will not be finished.
func (t *tree) drop(up *upload) {
	_ = syscall.Close(up.fd)
	_ = unlinkAt(t.staging, up.temp, 0)
}

// commit puts a written file where it belongs, if that place is still as the host believes.
func (t *tree) commit(up *upload) (entry, error) {
	parent, name, err := t.parent(up.path)
	if err != nil {
		return entry{}, err
	}
	now, err := statAt(parent, name)
	mode, who := uint32(up.mode&sharedMode), t.owner
	if err == nil && now.Mode&syscall.S_IFMT == syscall.S_IFREG {
		mode |= now.Mode & localMode
		who = &owner{int(now.Uid), int(now.Gid)}
	}
	if who != nil {
		if err := syscall.Fchown(up.fd, who.uid, who.gid); err != nil {
			return entry{}, err
		}
	}
	if err := errors.Join(syscall.Fchmod(up.fd, mode), stamp(up.fd)); err != nil {
		return entry{}, err
	}
	return t.place(up.temp, parent, name, up.expect)
}

// stamp sets a time that no clock tick of the kernel has, so that a write right after it is a change of the time.
func stamp(fd int) error {
	now := syscall.NsecToTimespec(time.Now().UnixNano() | 1)
	times := [2]syscall.Timespec{now, now}
	_, err := call(syscall.SYS_UTIMENSAT, [5]uintptr{uintptr(fd), 0, uintptr(unsafe.Pointer(&times[0]))})
	return err
}

// place moves a staged file or link to its name in place of what is expected there; anything else is left and told.
func (t *tree) place(temp string, parent int, name string, expect entry) (entry, error) {
	switch expect.Kind {
	case absent:
		err := renameAt(t.staging, temp, parent, name, renameNoReplace)
		if err == syscall.EINVAL {
			err = t.placeWithoutFlags(temp, parent, name, expect)
		}
		if err != nil {
			return entry{}, err
		}
	case file, symlink:
		if err := t.exchange(temp, parent, name, expect); err != nil {
			return entry{}, err
		}
	default:
		return entry{}, failed(codeBadPath, "only a file or a link can be replaced")
	}
	return look(parent, name)
}

// exchange swaps the names and looks at what came out: an edit between the look and the swap goes back.
func (t *tree) exchange(temp string, parent int, name string, expect entry) error {
	if err := require(parent, name, expect); err != nil {
		return err
	}
	err := renameAt(t.staging, temp, parent, name, renameExchange)
	if err == syscall.EINVAL {
		return t.placeWithoutFlags(temp, parent, name, expect)
	}
	if err != nil {
		return err
	}
	if out, err := look(t.staging, temp); err != nil || !same(out, expect) {
		_ = renameAt(t.staging, temp, parent, name, renameExchange)
		return changed(name)
	}
	return unlinkAt(t.staging, temp, 0)
}

// placeWithoutFlags is for file systems that cannot rename with conditions: looked at, then replaced at once.
func (t *tree) placeWithoutFlags(temp string, parent int, name string, expect entry) error {
	if err := require(parent, name, expect); err != nil {
		return err
	}
	return renameAt(t.staging, temp, parent, name, 0)
}

func (t *tree) symlink(path, target string, expect entry) (entry, error) {
	staging, err := t.stage()
	if err != nil {
		return entry{}, err
	}
	parent, name, err := t.parent(path)
	if err != nil {
		return entry{}, err
	}
	const temp = "link"
	_ = unlinkAt(staging, temp, 0)
	if err := symlinkAt(target, staging, temp); err != nil {
		return entry{}, err
	}
	if t.owner != nil {
		_ = syscall.Fchownat(staging, temp, t.owner.uid, t.owner.gid, atSymlinkNoFollow)
	}
	return t.place(temp, parent, name, expect)
}

func (t *tree) mkdir(path string, mode uint16) (entry, error) {
	parent, name, err := t.parent(path)
	if err != nil {
		return entry{}, err
	}
	if err := syscall.Mkdirat(parent, name, uint32(mode&sharedMode)); err != nil {
		return entry{}, err
	}
	if t.owner != nil {
		_ = syscall.Fchownat(parent, name, t.owner.uid, t.owner.gid, atSymlinkNoFollow)
	}
	return t.chmod(path, mode, entry{Kind: directory})
}

func (t *tree) chmod(path string, mode uint16, expect entry) (entry, error) {
	parent, name, err := t.parent(path)
	if err != nil {
		return entry{}, err
	}
	fd, err := openAt(parent, name, syscall.O_RDONLY, 0)
	if err != nil {
		return entry{}, err
	}
	defer syscall.Close(fd)
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		return entry{}, err
	}
	if now := describe(&stat); now.Kind != expect.Kind || (now.Kind == file && now.Version != expect.Version) {
		return entry{}, changed(name)
	}
	if err := syscall.Fchmod(fd, stat.Mode&localMode|uint32(mode&sharedMode)); err != nil {
		return entry{}, err
	}
	return look(parent, name)
}

// remove takes away a file, a link or an empty directory, if it is still what the host believes.
func (t *tree) remove(path string, expect entry) error {
	parent, name, err := t.parent(path)
	if err != nil {
		return err
	}
	if expect.Kind == directory {
		t.forget()
		if parent, name, err = t.parent(path); err != nil {
			return err
		}
		return unlinkAt(parent, name, atRemoveDir)
	}
	if expect.Kind != file && expect.Kind != symlink {
		return failed(codeUnsupported, "only files, links and directories are removed")
	}
	if err := require(parent, name, expect); err != nil {
		return err
	}
	staging, err := t.stage()
	if err != nil {
		return err
	}
	const temp = "removed"
	if err := renameAt(parent, name, staging, temp, 0); err != nil {
		return err
	}
	if out, err := look(staging, temp); err != nil || !same(out, expect) {
		return t.giveBack(temp, parent, name)
	}
	return unlinkAt(staging, temp, 0)
}

// giveBack returns an edited file to its name, or beside it when somebody has taken the name.
func (t *tree) giveBack(temp string, parent int, name string) error {
	if renameAt(t.staging, temp, parent, name, renameNoReplace) != nil {
		_ = renameAt(t.staging, temp, parent, fmt.Sprintf("%s.kept-%d", name, time.Now().UnixNano()), 0)
	}
	return changed(name)
}

func (t *tree) rename(path, to string, expect entry) (entry, error) {
	parent, name, err := t.parent(path)
	if err != nil {
		return entry{}, err
	}
	from, err := syscall.Dup(parent)
	if err != nil {
		return entry{}, err
	}
	defer syscall.Close(from)
	target, last, err := t.parent(to)
	if err != nil {
		return entry{}, err
	}
	if err := require(from, name, expect); err != nil {
		return entry{}, err
	}
	err = renameAt(from, name, target, last, renameNoReplace)
	if err == syscall.EINVAL && require(target, last, entry{}) == nil {
		err = renameAt(from, name, target, last, 0)
	}
	if err != nil {
		return entry{}, err
	}
	if expect.Kind == directory {
		t.forget()
		return entry{Kind: directory}, nil
	}
	return look(target, last)
}

// require fails unless a name is exactly what the host saw.
func require(parent int, name string, expect entry) error {
	now, err := look(parent, name)
	if err != nil {
		return err
	}
	if now.Kind != expect.Kind || (now.Kind != directory && now.Kind != absent && now.Version != expect.Version) {
		return changed(name)
	}
	return nil
}

// same compares without the ctime, which a rename moves.
func same(now, expect entry) bool {
	now.Version.Ctime = expect.Version.Ctime
	return now.Kind == expect.Kind && now.Version == expect.Version
}

func changed(name string) error { return failed(codeChanged, "%s has changed meanwhile", name) }
