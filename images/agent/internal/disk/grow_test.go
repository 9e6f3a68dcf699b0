package disk

import (
	"encoding/binary"
	"os"
	"testing"
	"time"
)

func TestGeometryReadsBlocksAndTheirSize(t *testing.T) {
	super := make([]byte, superblockSize)
	binary.LittleEndian.PutUint16(super[0x38:], ext4Magic)
	binary.LittleEndian.PutUint32(super[0x4:], 1000)
	binary.LittleEndian.PutUint32(super[0x150:], 1)
	binary.LittleEndian.PutUint32(super[0x18:], 2)
	blocks, size, err := geometry(super)
	if err != nil || blocks != 1<<32|1000 || size != 4096 {
		t.Fatal(blocks, size, err)
	}
}

func TestWhatIsNotExt4IsSaidSo(t *testing.T) {
	if _, _, err := geometry(make([]byte, superblockSize)); err == nil {
		t.Fatal("accepted")
	}
}

func TestADiskIsWaitedFor(t *testing.T) {
	file := t.TempDir() + "/disk"
	if err := os.WriteFile(file, make([]byte, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { _ = os.Truncate(file, 20) })
	if err := await(file, 20, 60*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := await(file, 21, time.Millisecond); err == nil {
		t.Fatal("a disk that does not grow is an error")
	}
}
