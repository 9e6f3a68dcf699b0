package boot

import (
	"encoding/binary"
	"testing"
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

func TestARootMustBeNamed(t *testing.T) {
	if err := Root(""); err == nil {
		t.Fatal("accepted")
	}
}
