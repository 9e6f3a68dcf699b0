package nonblock

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"testing"
	"time"
)

func pipe(t *testing.T) (read, write *os.File, reader, writer syscall.RawConn) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	reader, _ = read.SyscallConn()
	writer, _ = write.SyscallConn()
	return read, write, reader, writer
}

func TestReadWaitsForSomethingAndThenForTheEnd(t *testing.T) {
	_, write, reader, _ := pipe(t)
	go func() {
		time.Sleep(20 * time.Millisecond)
		_, _ = write.WriteString("text")
		_ = write.Close()
	}()
	buffer := make([]byte, 64)
	if n, err := Read(reader, buffer); err != nil || string(buffer[:n]) != "text" {
		t.Errorf("read %q, %v", buffer[:n], err)
	}
	if n, err := Read(reader, buffer); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

func TestWriteWritesMoreThanThereIsRoomFor(t *testing.T) {
	read, write, _, writer := pipe(t)
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		if n, err := Write(writer, data); n != len(data) || err != nil {
			t.Errorf("wrote %d of %d: %v", n, len(data), err)
		}
		_ = write.Close()
	}()
	if got, err := io.ReadAll(read); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came of %d: %v", len(got), len(data), err)
	}
}

func TestWriteSaysHowMuchWentOutBeforeItFailed(t *testing.T) {
	read, _, _, writer := pipe(t)
	_ = read.Close()
	if n, err := Write(writer, []byte("text")); n != 0 || err != syscall.EPIPE {
		t.Errorf("wrote %d, %v", n, err)
	}
}

func TestOnceDoesNotWait(t *testing.T) {
	_, _, reader, _ := pipe(t)
	_ = reader.Control(func(fd uintptr) {
		if n, err := Once(fd, make([]byte, 1)); n != 0 || err != syscall.EAGAIN {
			t.Errorf("read %d, %v", n, err)
		}
	})
}
