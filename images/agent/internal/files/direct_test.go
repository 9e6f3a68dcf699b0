package files

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/vector"
)

// places are directories of the file systems that have a way of their own, as far as this machine has them.
func places(t *testing.T) []string {
	shared, err := os.MkdirTemp("/dev/shm", "createos-test-")
	if err != nil {
		return []string{t.TempDir()}
	}
	t.Cleanup(func() { os.RemoveAll(shared) })
	return []string{t.TempDir(), shared}
}

func noise(size int) []byte {
	data := mux.NewOutput(max(size, 64<<10)).Bytes()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data[:size]
}

// cut returns data in pieces of the given sizes, the last again and again.
func cut(data []byte, sizes ...int) (pieces [][]byte) {
	for len(data) > 0 {
		n := min(sizes[0], len(data))
		pieces, data = append(pieces, data[:n]), data[n:]
		if len(sizes) > 1 {
			sizes = sizes[1:]
		}
	}
	return pieces
}

func TestPiecesAreWrittenAsTheyCameWhereverTheyLie(t *testing.T) {
	const page = aligned
	for name, pieces := range map[string][][]byte{
		"nothing":                      nil,
		"little":                       cut(noise(17), 17),
		"whole pages":                  cut(noise(3*batch), 15*page),
		"an odd end":                   cut(noise(3*batch+17), 15*page),
		"odd sizes":                    cut(noise(2*batch), 1000),
		"an odd piece in the middle":   cut(noise(2*batch+5), 15*page, 15*page, 5, 15*page),
		"an odd address in the middle": append(cut(noise(2*batch), 15*page), noise(16*page + 1)[1:]),
		"an odd beginning":             cut(noise(2*batch), 7, 15*page),
	} {
		want := bytes.Join(pieces, nil)
		for _, place := range places(t) {
			file, err := os.Create(place + "/f")
			if err != nil {
				t.Fatal(err)
			}
			b := newBody(file)
			for rest := pieces; len(rest) > 0 && err == nil; rest = rest[min(vector.Most, len(rest)):] {
				err = b.write(append([][]byte{}, rest[:min(vector.Most, len(rest))]...))
			}
			got, _ := os.ReadFile(place + "/f")
			if err != nil || !bytes.Equal(got, want) || b.written != int64(len(want)) {
				t.Errorf("%s in %s: %v, %d of %d bytes", name, place, err, len(got), len(want))
			}
			if name == "whole pages" && fileSystem(file) == ext4 && !b.past {
				t.Error("whole pages went through the cache of an ext4")
			}
			file.Close()
		}
	}
}

func TestADiskThatIsFullIsFullInEitherWay(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := &body{file: full, past: true}
	if err := b.write(cut(noise(batch), 15*aligned)); err != syscall.ENOSPC || b.written != 0 || b.past {
		t.Fatal(err, b)
	}
}

func TestAFileIsReadAsItIsWhetherItIsInTheCacheOrNot(t *testing.T) {
	for _, place := range places(t) {
		for _, size := range []int{1, aligned, batch - 1, batch, 3*batch + 17} {
			want := noise(size)
			path := place + "/f"
			if err := os.WriteFile(path, want, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, cached := range []bool{true, false} {
				file, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				if !cached {
					forget(t, file)
				}
				got := everything(t, newOrigin(file))
				if !bytes.Equal(got, want) {
					t.Errorf("%s, %d bytes, cached %t: %d other bytes", place, size, cached, len(got))
				}
				file.Close()
			}
		}
	}
}

func TestAFileThatBecomesShorterWhileItIsReadEndsThere(t *testing.T) {
	path := t.TempDir() + "/f"
	want := noise(3 * batch)
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	file, _ := os.Open(path)
	defer file.Close()
	forget(t, file)
	source := newOrigin(file)
	buffer := mux.NewOutput(batch).Bytes()
	first, err := source.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Truncate(path, int64(batch+17))
	rest := everything(t, source)
	if first+len(rest) != batch+17 || !bytes.Equal(rest, want[first:batch+17]) {
		t.Fatal(first, len(rest))
	}
}

// forget brings a file to the disk and takes it out of the page cache.
func forget(t *testing.T, file *os.File) {
	const dontNeed = 4
	_ = file.Sync()
	if _, _, failed := syscall.Syscall6(syscall.SYS_FADVISE64, file.Fd(), 0, 0, dontNeed, 0, 0); failed != 0 {
		t.Fatal(failed)
	}
}

func everything(t *testing.T, source io.Reader) (all []byte) {
	buffer := mux.NewOutput(batch).Bytes()
	if uintptr(unsafe.Pointer(&buffer[0]))%aligned != 0 {
		t.Fatal("the buffer does not begin at a page")
	}
	for {
		n, err := source.Read(buffer)
		all = append(all, buffer[:n]...)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
