package vector

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestWhatIsLeftBeginsWhereTheWritingEnded(t *testing.T) {
	for n, want := range map[int]string{0: "ab,c,def", 1: "b,c,def", 2: "c,def", 3: "def", 5: "f", 6: ""} {
		var left []string
		for _, piece := range After([][]byte{[]byte("ab"), []byte("c"), []byte("def")}, n) {
			left = append(left, string(piece))
		}
		if got := strings.Join(left, ","); got != want {
			t.Errorf("after %d: %q, want %q", n, got, want)
		}
	}
}

func TestPiecesGoOutInOrderAndNoMoreThanMostAtOnce(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	pieces := [][]byte{{}}
	for i := range Most {
		pieces = append(pieces, []byte{byte('a' + i)})
	}
	n, err := Write(syscall.Syscall, write.Fd(), pieces)
	got := make([]byte, 64)
	came, _ := read.Read(got)
	if n != Most-1 || err != nil || string(got[:came]) != "abcdefghijklmno" {
		t.Fatal(n, err, string(got[:came]))
	}
}
