package sftp

import (
	"fmt"
	"syscall"
	"time"
)

// Bits that say which attributes a packet has.
const (
	hasSize     = 1 << 0
	hasOwner    = 1 << 1
	hasMode     = 1 << 2
	hasTimes    = 1 << 3
	hasExtended = 1 << 31
)

const permissionBits = 0o7777

// attrs are the attributes of a file, as far as has says so. Times are seconds since 1970.
type attrs struct {
	has          uint32
	size         uint64
	uid, gid     uint32
	mode         uint32
	atime, mtime uint32
}

func (p *packet) attrs() attrs {
	a := attrs{has: p.uint32()}
	if a.has&hasSize != 0 {
		a.size = p.uint64()
	}
	if a.has&hasOwner != 0 {
		a.uid, a.gid = p.uint32(), p.uint32()
	}
	if a.has&hasMode != 0 {
		a.mode = p.uint32()
	}
	if a.has&hasTimes != 0 {
		a.atime, a.mtime = p.uint32(), p.uint32()
	}
	if a.has&hasExtended != 0 {
		for n := p.uint32(); n > 0 && !p.bad; n-- {
			p.bytes()
			p.bytes()
		}
	}
	return a
}

func (a *attrs) modeOr(otherwise uint32) uint32 {
	if a.has&hasMode != 0 {
		return a.mode & permissionBits
	}
	return otherwise
}

func (a *attrs) timevals() []syscall.Timespec {
	return []syscall.Timespec{{Sec: int64(a.atime)}, {Sec: int64(a.mtime)}}
}

// stat writes all attributes of a file; sizes and times that do not fit are cut, as version 3 has no more room.
func (a *answer) stat(st *syscall.Stat_t) *answer {
	a.uint32(hasSize | hasOwner | hasMode | hasTimes)
	a.uint64(uint64(st.Size))
	a.uint32(st.Uid).uint32(st.Gid).uint32(st.Mode)
	return a.uint32(uint32(st.Atim.Sec)).uint32(uint32(st.Mtim.Sec))
}

// longName is the line of `ls -l` that clients show for a file.
func longName(name string, st *syscall.Stat_t, owner, group string, now time.Time) string {
	modified := time.Unix(st.Mtim.Sec, 0)
	layout := "Jan _2 15:04"
	if age := now.Sub(modified); age < 0 || age > 365*24*time.Hour/2 {
		layout = "Jan _2  2006"
	}
	return fmt.Sprintf("%s %4d %-8s %-8s %8d %s %s", modeText(st.Mode), st.Nlink, owner, group, st.Size, modified.Format(layout), name)
}

func modeText(mode uint32) string {
	kinds := map[uint32]byte{
		syscall.S_IFDIR: 'd', syscall.S_IFLNK: 'l', syscall.S_IFCHR: 'c', syscall.S_IFBLK: 'b',
		syscall.S_IFIFO: 'p', syscall.S_IFSOCK: 's', syscall.S_IFREG: '-',
	}
	text := []byte("?rwxrwxrwx")
	if kind, ok := kinds[mode&syscall.S_IFMT]; ok {
		text[0] = kind
	}
	for bit := range 9 {
		if mode&(1<<(8-bit)) == 0 {
			text[1+bit] = '-'
		}
	}
	for _, special := range []struct {
		bit    uint32
		place  int
		letter byte
	}{{syscall.S_ISUID, 3, 's'}, {syscall.S_ISGID, 6, 's'}, {syscall.S_ISVTX, 9, 't'}} {
		if mode&special.bit == 0 {
			continue
		}
		if text[special.place] == '-' {
			special.letter -= 'a' - 'A'
		}
		text[special.place] = special.letter
	}
	return string(text)
}
