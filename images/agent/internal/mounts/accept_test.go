package mounts

import (
	"net"
	"regexp"
	"testing"

	"createos.local/agent/internal/muxtest"
)

// dial connects as s3fs does and says something.
func (l *lab) dial(text string) net.Conn {
	l.t.Helper()
	url := regexp.MustCompile(`url=http://([^,]+)`).FindStringSubmatch(l.read("argv"))
	connection, err := net.Dial("tcp", url[1])
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { connection.Close() })
	_, _ = connection.Write([]byte(text))
	return connection
}

func TestAConnectionOfS3fsIsTakenByAccept(t *testing.T) {
	l := newLab(t)
	h := muxtest.Open(t, l.Accept, map[string]any{"id": "m1"})
	l.mounted(nil)
	connection := l.dial("GET")
	h.Until(func() bool { return h.Closed[2] && string(h.Out[1]) == "GET" })
	h.Input("200", true)
	over := finishing(h)
	answer := make([]byte, 3)
	if _, err := connection.Read(answer); err != nil || string(answer) != "200" {
		t.Fatal(err, string(answer))
	}
	connection.Close()
	if <-over; h.Code != "" {
		t.Fatal(h.Code, h.Message)
	}
}

func TestWhatS3fsHasGivenUpIsNotPassedOn(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	l.dial("PUT old").Close()
	l.dial("PUT new")
	h := muxtest.Open(t, l.Accept, map[string]any{"id": "m1"})
	h.Until(func() bool { return len(h.Out[1]) >= len("PUT new") })
	if got := string(h.Out[1]); got != "PUT new" {
		t.Fatal(got)
	}
}

func TestAcceptEndsWithItsMount(t *testing.T) {
	l := newLab(t)
	if h := l.ask("accept", map[string]any{"id": "m1"}); h.Code != "no_mount" {
		t.Fatal(h.Code)
	}
	l.mounted(nil)
	h, over := l.begin("accept", map[string]any{"id": "m1"})
	l.ask("unmount", map[string]any{"id": "m1", "deadline_ms": 60000})
	if <-over; h.Code != "no_mount" {
		t.Fatal(h.Code)
	}
}

func TestACancelledAcceptTakesNoConnection(t *testing.T) {
	l := newLab(t)
	l.mounted(nil)
	h := muxtest.Open(t, l.Accept, map[string]any{"id": "m1"})
	h.Cancel()
	if h.Finish(); h.Code != "cancelled" {
		t.Fatal(h.Code)
	}
}
