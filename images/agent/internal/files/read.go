package files

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"syscall"

	"createos.local/agent/internal/mux"
)

// What is read of a file that says it has no bytes, before its size is said to be unknown.
const unsized = 1 << 20

// Read handles one `file_read` stream.
func Read(stream *mux.Stream) {
	var wanted struct {
		Path string `json:"path"`
	}
	if err := json.Unmarshal(stream.Request, &wanted); err != nil {
		stream.Fail("bad_request", "file_read is malformed: "+err.Error())
		return
	}
	if err := read(stream, wanted.Path); err != nil {
		fail(stream, wanted.Path, err)
		return
	}
	stream.Finish(struct{}{})
}

type about struct {
	Size *int64 `json:"size,omitempty"`
	Mode uint32 `json:"mode"`
}

func read(stream *mux.Stream, path string) error {
	if err := check(path); err != nil {
		return err
	}
	// Opening a pipe or a device must not wait, and does nothing to either.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := regular(path, info.Mode()); err != nil {
		return err
	}
	said := about{Mode: uint32(info.Mode().Perm())}
	size := info.Size()
	var source io.Reader = newOrigin(file)
	if size == 0 {
		// Files of the kernel say 0 and have bytes all the same.
		var first bytes.Buffer
		n, err := io.CopyN(&first, file, unsized)
		if err != nil && err != io.EOF {
			return err
		}
		source, size = io.MultiReader(&first, file), n
		if err == nil {
			size = -1
		}
	}
	if size >= 0 {
		said.Size = &size
	}
	text, _ := json.Marshal(said)
	if !stream.Send(head, text) {
		return nil
	}
	stream.SendEOF(head)
	return copyOut(stream, path, source, size)
}

// copyOut sends size bytes, or all there are when size is negative.
func copyOut(stream *mux.Stream, path string, source io.Reader, size int64) error {
	room := int64(batch)
	if size >= 0 {
		room = min(room, (size+aligned-1)/aligned*aligned)
	}
	piece := mux.NewOutput(int(room))
	sent := int64(0)
	for sent != size {
		n, err := source.Read(piece.Bytes())
		if size >= 0 {
			n = int(min(int64(n), size-sent))
		}
		if n > 0 && !stream.SendOutput(output, piece, n) {
			return nil
		}
		sent += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if size >= 0 && sent != size {
		return refuse("changed", "%s became shorter while it was read", path)
	}
	stream.SendEOF(output)
	return nil
}
