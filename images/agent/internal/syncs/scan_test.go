package syncs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// scanned is a scanner over a tree and what the host would know from it.
type scanned struct {
	*scanner
	known map[string]kind
	told  []string
}

func scanning(t *testing.T, tr *tree, skip ...string) *scanned {
	t.Helper()
	pattern, err := compile(skip)
	if err != nil {
		t.Fatal(err)
	}
	s := &scanned{known: map[string]kind{}}
	watch := newWatcher(func() {})
	t.Cleanup(watch.close)
	s.scanner = &scanner{tree: tr, skip: pattern, watch: watch, known: map[string]map[string]entry{}}
	s.emit = func(path string, e entry) bool {
		s.told = append(s.told, path)
		s.known[path] = e.Kind
		if e.Kind == absent {
			delete(s.known, path)
		}
		return true
	}
	return s
}

func (s *scanned) again(t *testing.T, full bool) []string {
	t.Helper()
	s.told = nil
	if err := s.scan(full); err != nil {
		t.Fatal(err)
	}
	return s.told
}

// after scans at every event until as many paths are told as expected: one change has several events, and a scan may
// come between them.
func (s *scanned) after(t *testing.T, expected int) []string {
	t.Helper()
	var told []string
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s.watch.pending() {
			told = append(told, s.again(t, false)...)
		}
		if len(told) >= expected {
			return told
		}
	}
	t.Fatalf("events told of %v alone", told)
	return nil
}

func TestAScanTellsOnlyWhatIsNew(t *testing.T) {
	tr := opened(t)
	tr.write(t, "a", "1")
	tr.write(t, "d/b", "2")
	s := scanning(t, tr)

	if told := s.again(t, true); len(told) != 3 || s.known["d"] != directory || s.known["d/b"] != file {
		t.Fatalf("first: %v", told)
	}
	if told := s.again(t, true); len(told) != 0 {
		t.Fatalf("nothing happened: %v", told)
	}
	tr.write(t, "d/b", "22")
	if told := s.after(t, 1); len(told) != 1 || told[0] != "d/b" {
		t.Fatalf("an edit: %v", told)
	}
	if err := os.RemoveAll(filepath.Join(tr.path, "d")); err != nil {
		t.Fatal(err)
	}
	if told := s.after(t, 2); len(told) != 2 || len(s.known) != 1 {
		t.Fatalf("a removal: %v", told)
	}
}

func TestADirectoryThatGoesBeforeItsParentIsReadIsToldWithAllThatWasInIt(t *testing.T) {
	tr := opened(t)
	tr.write(t, "d/sub/b", "1")
	s := scanning(t, tr)
	s.again(t, true)
	if err := os.RemoveAll(filepath.Join(tr.path, "d")); err != nil {
		t.Fatal(err)
	}
	for dirty := map[string]bool{}; !dirty[""]; time.Sleep(time.Millisecond) {
		dirty, _ = s.watch.drain()
	}
	dirty := func(path string) {
		s.watch.mu.Lock()
		defer s.watch.mu.Unlock()
		s.watch.dirty[path] = true
	}

	dirty("d/sub")
	early := s.again(t, false)
	dirty("")
	late := s.again(t, false)

	if len(early) != 0 || fmt.Sprint(late) != "[d/sub/b d/sub d]" || len(s.known) != 0 {
		t.Fatalf("%v, then %v", early, late)
	}
}

func TestADirectoryThatTakesAnothersNameIsReadAnew(t *testing.T) {
	tr := opened(t)
	tr.write(t, "d/sub/old", "1")
	tr.write(t, "e/sub/new", "2")
	s := scanning(t, tr)
	s.again(t, true)

	at := func(name string) string { return filepath.Join(tr.path, name) }
	if err := errors.Join(os.Rename(at("d"), at("x")), os.Rename(at("e"), at("d"))); err != nil {
		t.Fatal(err)
	}

	want := map[string]kind{"d": directory, "d/sub": directory, "d/sub/new": file, "x": directory, "x/sub": directory, "x/sub/old": file}
	for fmt.Sprint(s.known) != fmt.Sprint(want) {
		s.after(t, 1)
	}
	tr.write(t, "d/sub/later", "3")
	if told := s.after(t, 1); len(told) != 1 || told[0] != "d/sub/later" {
		t.Fatalf("not watched under its new name: %v", told)
	}
}

func TestSkippedAndSpecialThings(t *testing.T) {
	tr := opened(t)
	tr.write(t, ".git/config", "1")
	tr.write(t, "node_modules/m/i.js", "1")
	tr.write(t, "a.pyc", "1")
	tr.write(t, stagingName+"/test/1", "1")
	tr.write(t, "kept/node_modules.txt", "1")
	if err := os.Symlink("kept", filepath.Join(tr.path, "link")); err != nil {
		t.Fatal(err)
	}
	s := scanning(t, tr, `(?:.*/)?\.git/?`, `(?:.*/)?node_modules/`, `(?:.*/)?[^/]*\.pyc/?`)

	s.again(t, true)

	want := map[string]kind{"kept": directory, "kept/node_modules.txt": file, "link": symlink}
	if fmt.Sprint(s.known) != fmt.Sprint(want) {
		t.Fatalf("%v", s.known)
	}
}

func TestAFullScanFindsWhatNoEventTold(t *testing.T) {
	tr := opened(t)
	tr.write(t, "a", "1")
	tr.write(t, "d/last", "1")
	s := scanning(t, tr)
	s.again(t, true)

	tr.write(t, "a", "22")
	// The last event of all: a file that was closed as it was.
	last, err := os.OpenFile(filepath.Join(tr.path, "d", "last"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	last.Close()
	for dirty := map[string]bool{}; !dirty["d"]; time.Sleep(time.Millisecond) {
		dirty, _ = s.watch.drain()
	}

	if told := s.again(t, false); len(told) != 0 {
		t.Fatalf("read without an event: %v", told)
	}
	if told := s.again(t, true); len(told) != 1 {
		t.Fatalf("not read: %v", told)
	}
}
