package syncs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// opened returns a tree over a fresh directory; its path must not begin with a guarded name.
func opened(t *testing.T) *tree {
	t.Helper()
	tr, err := openTree(t.TempDir(), false, nil, "test", systems)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	return tr
}

func (t *tree) write(tb testing.TB, path, text string) {
	tb.Helper()
	full := filepath.Join(t.path, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
		tb.Fatal(err)
	}
}

func (t *tree) read(tb testing.TB, path string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(t.path, path))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func (t *tree) now(tb testing.TB, path string) entry {
	tb.Helper()
	parent, name, err := t.parent(path)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := look(parent, name)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func (t *tree) put(path, text string, expect entry, mode uint16) (entry, error) {
	up := &upload{id: 7, path: path, expect: expect, mode: mode}
	if err := t.begin(up); err != nil {
		return entry{}, err
	}
	defer t.drop(up)
	if err := up.write([]byte(text)); err != nil {
		return entry{}, err
	}
	return t.commit(up)
}

func codeIn(err error) byte {
	var expected *failure
	if errors.As(err, &expected) {
		return expected.code
	}
	return 0
}

func TestAFileIsReplacedOnlyWhileItIsWhatTheHostSaw(t *testing.T) {
	tr := opened(t)
	tr.write(t, "a", "old")
	seen := tr.now(t, "a")

	if _, err := tr.put("a", "new", seen, 0o644); err != nil || tr.read(t, "a") != "new" {
		t.Fatalf("not replaced: %v", err)
	}
	if _, err := tr.put("a", "newer", seen, 0o644); codeIn(err) != codeChanged || tr.read(t, "a") != "new" {
		t.Fatalf("an edit was overwritten: %v", err)
	}
	if _, err := tr.put("a", "newest", entry{}, 0o644); err == nil || tr.read(t, "a") != "new" {
		t.Fatalf("a file that should not be there was overwritten: %v", err)
	}
}

func TestAnEditBetweenTheLookAndTheSwapGoesBack(t *testing.T) {
	tr := opened(t)
	tr.write(t, "a", "the edit")
	if _, err := tr.stage(); err != nil {
		t.Fatal(err)
	}
	tr.write(t, stagingName+"/test/x", "ours")
	believed := tr.now(t, "a")
	believed.Version.Size++

	// What exchange does after its look, with a look that was too early.
	if err := renameAt(tr.staging, "x", tr.root, "a", renameExchange); err != nil {
		t.Fatal(err)
	}
	out, _ := look(tr.staging, "x")
	if same(out, believed) {
		t.Fatal("the edit was not noticed")
	}
	if err := tr.giveBack("x", tr.root, "b"); codeIn(err) != codeChanged || tr.read(t, "b") != "the edit" {
		t.Fatalf("the edit is lost: %v", err)
	}
}

func TestNoPathLeavesTheRoot(t *testing.T) {
	tr := opened(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(tr.path, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"../x", "a/../../x", "/x", "", ".", "a//b", "a\x00b", "link/x", stagingName, stagingName + "/x",
		strings.Repeat("n", 256), strings.Repeat("d/", 200) + "x"} {
		if _, err := tr.put(path, "evil", entry{}, 0o644); err == nil {
			t.Errorf("%q was written", path)
		}
		if _, err := tr.mkdir(path, 0o755); err == nil {
			t.Errorf("%q was made", path)
		}
	}
	if names, _ := os.ReadDir(outside); len(names) != 0 {
		t.Fatalf("written outside: %v", names)
	}
}

func TestGuardedRootsAreRefusedEvenThroughLinks(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/etc", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/etc", "/usr/share", link, "relative"} {
		if tr, err := openTree(path, false, nil, "test", systems); codeIn(err) != codeBadPath {
			t.Errorf("%s was opened: %v %v", path, tr, err)
		}
	}
}

func TestACopyKeepsAwayFromWhatTheKernelShowsAndFromNothingElse(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/proc/self", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/proc", "/sys", "/dev", link} {
		if tr, err := openTree(path, false, nil, "test", guarded["copy"]); codeIn(err) != codeBadPath {
			t.Errorf("%s was opened: %v %v", path, tr, err)
		}
	}
	for _, path := range []string{"/", "/etc", "/usr"} {
		tr, err := openTree(path, false, nil, "test", guarded["copy"])
		if err != nil {
			t.Fatalf("%s was refused: %v", path, err)
		}
		tr.close()
	}
}

func TestTheModeOfAReplacedFileKeepsWhatIsNotTheHosts(t *testing.T) {
	tr := opened(t)
	tr.write(t, "a", "old")
	if err := os.Chmod(filepath.Join(tr.path, "a"), 0o664); err != nil {
		t.Fatal(err)
	}

	now, err := tr.put("a", "new", tr.now(t, "a"), 0o755)

	if err != nil || now.Mode != 0o775 {
		t.Fatalf("mode %o, %v", now.Mode, err)
	}
}

func TestRemovingWhatWasEditedLeavesTheEdit(t *testing.T) {
	tr := opened(t)
	tr.write(t, "a", "old")
	seen := tr.now(t, "a")
	tr.write(t, "a", "edited")

	if err := tr.remove("a", seen); codeIn(err) != codeChanged || tr.read(t, "a") != "edited" {
		t.Fatalf("the edit is lost: %v", err)
	}
	if err := tr.remove("a", tr.now(t, "a")); err != nil || tr.now(t, "a").Kind != absent {
		t.Fatalf("not removed: %v", err)
	}
}

func TestADirectoryWithSomethingInItStays(t *testing.T) {
	tr := opened(t)
	tr.write(t, "d/a", "x")

	err := tr.remove("d", entry{Kind: directory})

	if err == nil || tr.read(t, "d/a") != "x" {
		t.Fatalf("removed: %v", err)
	}
}

func TestARenameNeverOverwrites(t *testing.T) {
	tr := opened(t)
	tr.write(t, "a", "a")
	tr.write(t, "d/b", "b")

	if _, err := tr.rename("a", "d/b", tr.now(t, "a")); err == nil || tr.read(t, "d/b") != "b" {
		t.Fatalf("overwritten: %v", err)
	}
	if _, err := tr.rename("a", "d/c", tr.now(t, "a")); err != nil || tr.read(t, "d/c") != "a" {
		t.Fatalf("not renamed: %v", err)
	}
}

func TestWhatADeadStreamLeftIsSweptAndALivingOneIsNot(t *testing.T) {
	tr := opened(t)
	tr.write(t, stagingName+"/dead/1", "half")
	tr.write(t, stagingName+"/alive/1", "half")

	tr.sweep(map[string]bool{"alive": true})

	if _, err := os.Stat(filepath.Join(tr.path, stagingName, "dead")); err == nil {
		t.Fatal("not swept")
	}
	if tr.read(t, stagingName+"/alive/1") != "half" {
		t.Fatal("swept too much")
	}
}

func TestAWrittenFileHasATimeThatNoOtherWriteHas(t *testing.T) {
	tr := opened(t)
	now, err := tr.put("a", "12", entry{}, 0o644)
	if err != nil {
		t.Fatal(err)
	}

	tr.write(t, "a", "21")

	if tr.now(t, "a").Version == now.Version {
		t.Fatal("a write in the same tick cannot be seen")
	}
}
