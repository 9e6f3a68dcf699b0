package self

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"createos.local/agent/internal/frame"
	"createos.local/agent/internal/mux"
)

// host is the other end of the port: it opens one events stream and gives the verdicts that a test wants.
type host struct {
	port    net.Conn
	decoder frame.Decoder
}

func listen(t *testing.T, door *Door) *host {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	served := mux.New(theirs, door.Serve)
	served.SetReady([]byte("{}"))
	go func() { _ = served.Serve(func() {}) }()
	h := &host{port: ours}
	h.send(frame.Frame{Type: frame.Reset, Payload: []byte(frame.ResetMarker + strings.Repeat("n", frame.NonceSize))})
	if got := h.next(t); got.Type != frame.Ready {
		t.Fatal(got.Type)
	}
	h.send(frame.Frame{Type: frame.Open, Stream: 1, Payload: []byte(`{"kind":"events"}`)})
	for door.listening() == nil {
		time.Sleep(time.Millisecond)
	}
	return h
}

func (d *Door) listening() *mux.Stream {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stream
}

func (h *host) send(f frame.Frame) { _, _ = h.port.Write(frame.Append(nil, f)) }

func (h *host) next(t *testing.T) frame.Frame {
	_ = h.port.SetReadDeadline(time.Now().Add(60 * time.Second))
	for {
		if f, ok := h.decoder.Next(); ok {
			if f.Type == frame.Credit {
				continue
			}
			return f
		}
		n, err := h.port.Read(h.decoder.Space(1024))
		if err != nil {
			t.Fatal(err)
		}
		h.decoder.Filled(n)
	}
}

func (h *host) event(t *testing.T) event {
	var said event
	if err := json.Unmarshal(h.next(t).Payload, &said); err != nil {
		t.Fatal(err)
	}
	return said
}

func (h *host) judge(id uint64, accepted bool, message string) {
	text, _ := json.Marshal(map[string]any{"verdict": map[string]any{"id": id, "accepted": accepted, "message": message}})
	h.send(frame.Frame{Type: frame.Data, Flags: mux.Control, Stream: 1, Payload: text})
}

func start(t *testing.T, door *Door) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() { _ = door.ServeHTTP(listener) }()
	return listener.Addr().String()
}

func request(t *testing.T, address, text string) string {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprint(connection, text)
	said, err := io.ReadAll(connection)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

func TestTheAnswerIsOutBeforeTheHostMayGo(t *testing.T) {
	door := &Door{wait: time.Minute}
	h := listen(t, door)
	address := start(t, door)
	answers := make(chan string, 1)
	go func() {
		answers <- request(t, address, "POST /self/pause?reason=idle%20now HTTP/1.1\r\nHost: x\r\n\r\n")
	}()

	asked := h.event(t)
	if asked.Action != "pause" || asked.Reason != "idle now" {
		t.Fatal(asked)
	}
	h.judge(asked.ID, true, "")
	if confirmed := h.event(t); !confirmed.Go || confirmed.ID != asked.ID {
		t.Fatal(confirmed)
	}
	if said := <-answers; !strings.HasPrefix(said, "HTTP/1.1 202 ") || !strings.Contains(said, `"accepted"`) {
		t.Fatal(said)
	}
}

func TestARefusalIsPassedOnAndNothingHappens(t *testing.T) {
	door := &Door{wait: time.Minute}
	h := listen(t, door)
	address := start(t, door)
	answers := make(chan string, 1)
	go func() { answers <- request(t, address, "POST /self/pause HTTP/1.1\r\n\r\n") }()

	h.judge(h.event(t).ID, false, "not offered yet")

	if said := <-answers; !strings.HasPrefix(said, "HTTP/1.1 503 ") || !strings.Contains(said, "not offered yet") {
		t.Fatal(said)
	}
}

func TestWithoutAHostARequestIsRefusedAndForgotten(t *testing.T) {
	door := &Door{}
	if said := request(t, start(t, door), "POST /self/delete HTTP/1.1\r\n\r\n"); !strings.HasPrefix(said, "HTTP/1.1 503 ") {
		t.Fatal(said)
	}
	if len(door.waiting) != 0 || door.sending != 0 {
		t.Fatal("kept")
	}
}

func TestAVerdictThatComesTooLateChangesNothing(t *testing.T) {
	door := &Door{}
	h := listen(t, door)
	answered := make(chan Verdict, 1)
	go func() {
		verdict, confirm := door.Ask("delete", "")
		confirm()
		answered <- verdict
	}()
	asked := h.event(t)
	if verdict := <-answered; verdict.Accepted {
		t.Fatal("accepted without a verdict")
	}
	h.judge(asked.ID, true, "")
	go func() { _, _ = door.Ask("pause", "") }()
	if next := h.event(t); next.Go || next.Action != "pause" {
		t.Fatal(next)
	}
}

func TestEverythingElseIsSaidWhatItIs(t *testing.T) {
	address := start(t, &Door{})
	for text, status := range map[string]string{
		"GET /self/pause HTTP/1.1\r\n\r\n":                         "405",
		"POST /self/other HTTP/1.1\r\n\r\n":                        "404",
		"POST / HTTP/1.0\r\n\r\n":                                  "404",
		"POST /self/pause HTTP/1.1\r\nOrigin: http://evil\r\n\r\n": "403",
		"hello\r\n\r\n":                                            "400",
		"POST /self/pause?reason=" + strings.Repeat("x", 9000) + " HTTP/1.1\r\n\r\n": "400",
		"POST /self/pause HTTP/1.1\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n":  "431",
	} {
		if said := request(t, address, text); !strings.HasPrefix(said, "HTTP/1.1 "+status+" ") {
			t.Errorf("%.40q: %.60q", text, said)
		}
	}
}

func TestABodyThatNobodyWantsDoesNotCostTheAnswer(t *testing.T) {
	body := strings.Repeat("x", 30_000)
	text := fmt.Sprintf("POST /self/nothing HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if said := request(t, start(t, &Door{}), text); !strings.HasPrefix(said, "HTTP/1.1 404 ") {
		t.Fatal(said)
	}
}

func TestAReasonIsCut(t *testing.T) {
	if got := []rune(cut(strings.Repeat("ä", 200) + "\xff")); len(got) != maxReason {
		t.Fatal(len(got))
	}
}

func TestWordsInTheFIFOAreRequests(t *testing.T) {
	door := &Door{wait: time.Minute}
	h := listen(t, door)
	path := t.TempDir() + "/self"
	lines := make(chan string, 10)
	go func() {
		_ = door.ServeFIFO(path, func(format string, values ...any) { lines <- fmt.Sprintf(format, values...) })
	}()
	for {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm() == 0o622 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := os.WriteFile(path, []byte("nonsense retire\n"), 0); err != nil {
		t.Fatal(err)
	}
	asked := h.event(t)
	h.judge(asked.ID, true, "")
	if confirmed := h.event(t); asked.Action != "delete" || !confirmed.Go {
		t.Fatal(asked, confirmed)
	}
	if line := <-lines; !strings.Contains(line, "neither park nor retire") {
		t.Fatal(line)
	}
}
