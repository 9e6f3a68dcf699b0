package process

import (
	"bytes"
	"testing"
)

func TestAJournalKeepsTheEnd(t *testing.T) {
	j := newShelf(1 << 20).open(10 * (100 + eventCost))
	for n := range 50 {
		j.add(fromStdout, bytes.Repeat([]byte{byte(n)}, 100))
	}
	w := j.window()
	if w.OldestSeq != 41 || w.NewestSeq != 50 || w.Bytes != 1000 {
		t.Fatalf("%+v", w)
	}
	if p := j.after(39, 1<<20); !p.expired || p.oldest != 41 {
		t.Fatalf("%+v", p)
	}
	if p := j.after(40, 1<<20); p.expired || len(p.events) != 10 || p.events[0].data[0] != 40 {
		t.Fatalf("%+v", p)
	}
	if p := j.after(50, 1<<20); p.expired || len(p.events) != 0 {
		t.Fatalf("%+v", p)
	}
	if p := j.after(5000, 1<<20); p.expired || len(p.events) != 0 {
		t.Fatalf("%+v", p)
	}
}

func TestTheLargestJournalGivesWayWhenTheShelfIsFull(t *testing.T) {
	s := newShelf(100_000)
	small, large := s.open(1<<20), s.open(1<<20)
	small.add(fromStdout, make([]byte, 1000))
	for range 100 {
		large.add(fromStdout, make([]byte, 4000))
	}
	if s.cost > s.limit || small.window().Bytes != 1000 || large.window().Bytes < 80_000 {
		t.Fatalf("%d of %d: %+v %+v", s.cost, s.limit, small.window(), large.window())
	}
	s.discard(large)
	if s.cost != 1000+eventCost {
		t.Fatal(s.cost)
	}
}

func TestAPageEndsAtItsLimitAndAtAnExit(t *testing.T) {
	j := newShelf(1 << 20).open(1 << 20)
	for range 10 {
		j.add(fromStdout, make([]byte, 1000))
	}
	j.append(fromExit, []byte("{}"))
	j.add(fromStdout, []byte("late"))
	if p := j.after(0, 3000); len(p.events) != 3 {
		t.Fatal(len(p.events))
	}
	if p := j.after(0, 1<<20); len(p.events) != 11 || p.events[10].source != fromExit {
		t.Fatal(len(p.events))
	}
	if p := j.after(11, 1<<20); len(p.events) != 1 {
		t.Fatal(len(p.events))
	}
}
