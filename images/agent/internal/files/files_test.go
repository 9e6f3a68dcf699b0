package files

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"createos.local/agent/internal/muxtest"
)

type request struct {
	Path string `json:"path"`
	Size *int64 `json:"size,omitempty"`
}

func size(n int64) *int64 { return &n }

func write(t *testing.T, wanted request, data string) *muxtest.Host {
	t.Helper()
	h := muxtest.Open(t, Write, wanted)
	h.Input(data, true)
	return h.Finish()
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names returns everything in a directory: nothing temporary may stay.
func names(t *testing.T, directory string) string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return strings.Join(all, " ")
}

func TestANewFileHasItsParentsAndMode(t *testing.T) {
	d := t.TempDir()
	path := d + "/a/b/new"
	h := write(t, request{Path: path, Size: size(5)}, "hello")
	if h.Code != "" || string(h.Result) != `{"bytes":5}` || content(t, path) != "hello" {
		t.Fatalf("%s %s", h.Message, h.Result)
	}
	info, _ := os.Stat(path)
	if info.Mode() != 0o644 || names(t, d+"/a/b") != "new" {
		t.Fatal(info.Mode(), names(t, d+"/a/b"))
	}
}

func TestAReplacedFileKeepsItsMode(t *testing.T) {
	path := t.TempDir() + "/tool"
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Chmod(path, 0o4750); err != nil {
		t.Fatal(err)
	}
	if h := write(t, request{Path: path}, "new"); h.Code != "" {
		t.Fatal(h.Message)
	}
	var now syscall.Stat_t
	_ = syscall.Stat(path, &now)
	if now.Mode&0o7777 != 0o4750 || content(t, path) != "new" {
		t.Fatalf("%o", now.Mode)
	}
}

func TestACutUploadLeavesTheOldFile(t *testing.T) {
	for name, cut := range map[string]func(*muxtest.Host){
		"cancelled": func(h *muxtest.Host) { h.Cancel() },
		"cut":       func(h *muxtest.Host) { h.Input("", true) },
	} {
		d := t.TempDir()
		path := d + "/f"
		_ = os.WriteFile(path, []byte("old"), 0o644)
		h := muxtest.Open(t, Write, request{path, size(10)})
		h.Input("new", false)
		h.Until(func() bool { return true })
		cut(h)
		h.Finish()
		if h.Code != name || content(t, path) != "old" || names(t, d) != "f" {
			t.Fatalf("%s: %s %s %q", name, h.Code, h.Message, names(t, d))
		}
	}
}

func TestALinkStaysAndItsTargetIsReplaced(t *testing.T) {
	d := t.TempDir()
	_ = os.Mkdir(d+"/real", 0o755)
	_ = os.Symlink("real/file", d+"/link")
	if h := write(t, request{Path: d + "/link"}, "new"); h.Code != "" {
		t.Fatal(h.Message)
	}
	if content(t, d+"/real/file") != "new" {
		t.Fatal("the target was not written")
	}
	if target, _ := os.Readlink(d + "/link"); target != "real/file" {
		t.Fatal(target)
	}
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	d := t.TempDir()
	_ = syscall.Mkfifo(d+"/pipe", 0o600)
	_ = os.Symlink("loop", d+"/loop")
	_ = os.WriteFile(d+"/file", nil, 0o644)
	for path, code := range map[string]string{
		d:                                  "is_directory",
		d + "/":                            "is_directory",
		d + "/..":                          "is_directory",
		d + "/pipe":                        "not_regular",
		d + "/loop":                        "bad_path",
		d + "/file/below":                  "not_found",
		"relative":                         "bad_path",
		"":                                 "bad_path",
		"/dev/null":                        "not_regular",
		"/proc/sys/kernel/hostname":        "not_regular",
		d + "/" + strings.Repeat("x", 300): "bad_path",
	} {
		if h := write(t, request{Path: path}, "x"); h.Code != code {
			t.Errorf("write %s: %s (%s), want %s", path, h.Code, h.Message, code)
		}
	}
	for path, code := range map[string]string{
		d:             "is_directory",
		d + "/pipe":   "not_regular",
		d + "/loop":   "bad_path",
		"/dev/zero":   "not_regular",
		d + "/absent": "not_found",
		"relative":    "bad_path",
	} {
		if h := muxtest.Open(t, Read, request{Path: path}).Finish(); h.Code != code {
			t.Errorf("read %s: %s (%s), want %s", path, h.Code, h.Message, code)
		}
	}
	if names(t, d) != "file loop pipe" {
		t.Fatal(names(t, d))
	}
}

func TestAFileThatCannotFitIsRefusedBeforeItComes(t *testing.T) {
	h := muxtest.Open(t, Write, request{t.TempDir() + "/f", size(1 << 60)}).Finish()
	if h.Code != "no_space" {
		t.Fatalf("%s %s", h.Code, h.Message)
	}
}

func TestAFileIsReadWithItsSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	data := strings.Repeat("0123456789", 30000)
	_ = os.WriteFile(path, []byte(data), 0o640)
	h := muxtest.Open(t, Read, request{Path: path}).Finish()
	if string(h.Out[head]) != `{"size":300000,"mode":416}` || string(h.Out[output]) != data || !h.Closed[output] {
		t.Fatalf("%s %s", h.Out[head], h.Message)
	}
}

func TestAFileOfTheKernelIsReadWhole(t *testing.T) {
	h := muxtest.Open(t, Read, request{Path: "/proc/self/status"}).Finish()
	if !strings.Contains(string(h.Out[output]), "Pid:") || !strings.HasPrefix(string(h.Out[head]), `{"size":`) {
		t.Fatalf("%s %s", h.Out[head], h.Message)
	}
}
