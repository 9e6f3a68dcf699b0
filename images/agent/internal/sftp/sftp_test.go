package sftp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestMain is the server itself when the real client starts it (see client_test.go).
func TestMain(m *testing.M) {
	if os.Getenv("SERVE_SFTP") == "1" {
		if Serve(os.Stdin, os.Stdout, Home()) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// client speaks the protocol with a few lines of its own.
type client struct {
	t    *testing.T
	to   io.WriteCloser
	from *bufio.Reader
	next uint32
	over chan error
}

func connect(t *testing.T) *client {
	t.Helper()
	theirIn, to := io.Pipe()
	from, theirOut := io.Pipe()
	c := &client{t: t, to: to, from: bufio.NewReaderSize(from, 1<<20), over: make(chan error, 1)}
	go func() {
		err := Serve(theirIn, theirOut, "/home/ada")
		theirOut.Close()
		theirIn.Close()
		c.over <- err
	}()
	t.Cleanup(func() { to.Close() })
	c.send(request(typeInit).uint32(3))
	if kind, p := c.receive(); kind != typeVersion || p.uint32() != 3 {
		t.Fatal("no version 3")
	}
	return c
}

func request(kind byte) *answer { return new(answer).begin(kind) }

func (c *client) send(a *answer) {
	c.t.Helper()
	if _, err := c.to.Write(a.finished()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) receive() (byte, *packet) {
	c.t.Helper()
	kind, p, err := readPacket(c.from, make([]byte, maxPacket))
	if err != nil {
		c.t.Fatal(err)
	}
	return kind, p
}

// ask sends a request with an id and returns its answer.
func (c *client) ask(kind byte, fields func(*answer)) (byte, *packet) {
	c.t.Helper()
	c.next++
	a := request(kind).uint32(c.next)
	fields(a)
	c.send(a)
	got, p := c.receive()
	if id := p.uint32(); id != c.next {
		c.t.Fatalf("answer to %d, not to %d", id, c.next)
	}
	return got, p
}

func (c *client) status(kind byte, fields func(*answer)) uint32 {
	c.t.Helper()
	got, p := c.ask(kind, fields)
	if got != typeStatus {
		c.t.Fatalf("answer of type %d", got)
	}
	return p.uint32()
}

func (c *client) handle(kind byte, fields func(*answer)) string {
	c.t.Helper()
	got, p := c.ask(kind, fields)
	if got != typeHandle {
		c.t.Fatalf("no handle but type %d, status %d", got, p.uint32())
	}
	return p.text()
}

func (c *client) openFile(path string, bits uint32) string {
	c.t.Helper()
	return c.handle(typeOpen, func(a *answer) { a.text(path).uint32(bits).uint32(hasMode).uint32(0o640) })
}

func paths(names ...string) func(*answer) {
	return func(a *answer) {
		for _, name := range names {
			a.text(name)
		}
	}
}

func TestRequestsSentAheadAreAnsweredInOrder(t *testing.T) {
	c := connect(t)
	path := filepath.Join(t.TempDir(), "f")
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	handle := c.openFile(path, openRead)
	const piece = 32 << 10
	go func() {
		for i := range len(content) / piece {
			_, _ = c.to.Write(request(typeRead).uint32(uint32(100 + i)).text(handle).uint64(uint64(i * piece)).uint32(piece).finished())
		}
	}()
	var got []byte
	for i := range len(content) / piece {
		kind, p := c.receive()
		if id := p.uint32(); kind != typeData || id != uint32(100+i) {
			t.Fatalf("type %d for %d, expected %d", kind, id, 100+i)
		}
		got = append(got, p.bytes()...)
	}
	if !bytes.Equal(got, content) {
		t.Fatal("other bytes came back")
	}
}

func TestWhatIsWrittenCanBeReadAndEndsWithEOF(t *testing.T) {
	c := connect(t)
	path := filepath.Join(t.TempDir(), "f")
	handle := c.openFile(path, openRead|openWrite|openCreate|openExclusive)
	if code := c.status(typeWrite, func(a *answer) { a.text(handle).uint64(3).text("xyz") }); code != statusOK {
		t.Fatal("write:", code)
	}
	_, p := c.ask(typeRead, func(a *answer) { a.text(handle).uint64(0).uint32(100) })
	if got := p.text(); got != "\x00\x00\x00xyz" {
		t.Fatalf("%q", got)
	}
	if code := c.status(typeRead, func(a *answer) { a.text(handle).uint64(6).uint32(100) }); code != statusEOF {
		t.Fatal("end:", code)
	}
	if code := c.status(typeClose, paths(handle)); code != statusOK {
		t.Fatal("close:", code)
	}
	if code := c.status(typeClose, paths(handle)); code != statusNoSuchFile {
		t.Fatal("a closed handle:", code)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Fatal(info, err)
	}
}

func TestRefusalsHaveTheCodesOfOpenSSH(t *testing.T) {
	c := connect(t)
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		_ = os.WriteFile(filepath.Join(dir, name), nil, 0o600)
	}
	empty := c.openFile(dir+"/a", openRead)
	for name, test := range map[string]struct {
		kind   byte
		fields func(*answer)
		code   uint32
	}{
		"no file":             {typeStat, paths(dir + "/none"), statusNoSuchFile},
		"not a directory":     {typeOpendir, paths(dir + "/a"), statusNoSuchFile},
		"a NUL in the path":   {typeStat, paths(dir + "\x00/a"), statusBadMessage},
		"too long":            {typeStat, paths("/" + string(bytes.Repeat([]byte("x"), 300))), statusBadMessage},
		"rename over a file":  {typeRename, paths(dir+"/a", dir+"/b"), statusFailure},
		"a cut packet":        {typeRename, paths(dir + "/a"), statusBadMessage},
		"unknown handle":      {typeRead, func(a *answer) { a.text("\x00\x00\x00\x09").uint64(0).uint32(1) }, statusNoSuchFile},
		"handle of no number": {typeClose, paths("handle"), statusNoSuchFile},
		"unknown extension":   {typeExtended, paths("none@nowhere"), statusUnsupported},
		"unknown type":        {99, paths(), statusUnsupported},
		"offset below zero":   {typeRead, func(a *answer) { a.text(empty).uint64(1 << 63).uint32(1) }, statusBadMessage},
	} {
		if code := c.status(test.kind, test.fields); code != test.code {
			t.Errorf("%s: %d, expected %d", name, code, test.code)
		}
	}
}

func TestPosixRenameReplaces(t *testing.T) {
	c := connect(t)
	dir := t.TempDir()
	_ = os.WriteFile(dir+"/new", []byte("new"), 0o600)
	_ = os.WriteFile(dir+"/old", []byte("old"), 0o600)
	if code := c.status(typeExtended, paths("posix-rename@openssh.com", dir+"/new", dir+"/old")); code != statusOK {
		t.Fatal(code)
	}
	if content, _ := os.ReadFile(dir + "/old"); string(content) != "new" {
		t.Fatalf("%q", content)
	}
}

func TestHandlesAreLimited(t *testing.T) {
	c := connect(t)
	dir := t.TempDir()
	for range maxHandles {
		c.handle(typeOpendir, paths(dir))
	}
	if code := c.status(typeOpendir, paths(dir)); code != statusFailure {
		t.Fatal(code)
	}
}

func TestADirectoryIsListedWhole(t *testing.T) {
	c := connect(t)
	dir := t.TempDir()
	for i := range 3*batch + 7 {
		_ = os.WriteFile(filepath.Join(dir, string(rune('a'+i%26))+string(bytes.Repeat([]byte("n"), 1+i/26))), nil, 0o600)
	}
	handle := c.handle(typeOpendir, paths(dir))
	seen := map[string]bool{}
	for {
		kind, p := c.ask(typeReaddir, paths(handle))
		if kind == typeStatus {
			if code := p.uint32(); code != statusEOF {
				t.Fatal(code)
			}
			break
		}
		for range p.uint32() {
			seen[p.text()] = true
			p.text()
			p.attrs()
		}
		if p.bad || len(p.rest) != 0 {
			t.Fatal("a list that is not what it says")
		}
	}
	if len(seen) != 3*batch+7+2 || !seen["."] || !seen[".."] {
		t.Fatal(len(seen))
	}
}

func TestPathsAreResolvedAsTheClientExpects(t *testing.T) {
	c := connect(t)
	dir, _ := filepath.EvalSymlinks(t.TempDir())
	_ = os.MkdirAll(dir+"/real/sub", 0o700)
	_ = os.Symlink("real/sub", dir+"/link")
	cwd, _ := os.Getwd()
	for path, want := range map[string]string{
		dir + "/link":        dir + "/real/sub",
		dir + "/link/..":     dir + "/real",
		dir + "/link/none":   dir + "/real/sub/none",
		dir + "//real/./sub": dir + "/real/sub",
		"":                   cwd,
		".":                  cwd,
		"/":                  "/",
	} {
		_, p := c.ask(typeRealpath, paths(path))
		if n, got := p.uint32(), p.text(); n != 1 || got != want {
			t.Errorf("%q: %q, expected %q", path, got, want)
		}
	}
	for path, want := range map[string]string{"~": "/home/ada", "~/x": "/home/ada/x", "~root/x": "/root/x", "x": cwd + "/x", "/x": "/x"} {
		_, p := c.ask(typeExtended, paths("expand-path@openssh.com", path))
		if n, got := p.uint32(), p.text(); n != 1 || got != want {
			t.Errorf("%q: %q, expected %q", path, got, want)
		}
	}
}

func TestAnImpossibleLengthEndsTheSession(t *testing.T) {
	for _, length := range []uint32{0, maxPacket + 1, 1<<32 - 1} {
		c := connect(t)
		_, _ = c.to.Write(binary.BigEndian.AppendUint32(nil, length))
		if err := <-c.over; !errors.Is(err, errBadLength) {
			t.Errorf("%d: %v", length, err)
		}
	}
}
