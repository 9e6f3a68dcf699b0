// Package self lets what runs in a sandbox ask for the sandbox's own pause or end (wire-api 17).
//
// The guest cannot open streams. The host keeps an `events` stream open; a request goes out on it, the host's verdict comes
// back, the one who asked is answered, and only then the host is told to go: a pause would freeze the caller before it has
// read its answer. Without a host that listens a request is refused and forgotten, never done later.
package self

import (
	"cmp"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"createos.local/agent/internal/mux"
)

const (
	// Clients wait 2 s for their answer.
	verdictWait = 1500 * time.Millisecond
	maxWaiting  = 8
	maxReason   = 128
	eventsSub   = 1

	nobody = "createosd does not listen at the moment; try again in a few seconds"
)

// Verdict is what the host says to a request.
type Verdict struct {
	Accepted bool   `json:"accepted"`
	Message  string `json:"message"`
}

// Door is where requests go out; its zero value has no host behind it.
type Door struct {
	// wait is how long a verdict may take, verdictWait when it is 0.
	wait time.Duration

	mu      sync.Mutex
	stream  *mux.Stream
	last    uint64
	waiting map[uint64]chan Verdict
	sending int
}

type event struct {
	ID     uint64 `json:"id"`
	Action string `json:"action,omitempty"`
	Reason string `json:"reason,omitempty"`
	Go     bool   `json:"go,omitempty"`
}

// Serve answers an `events`: the stream is where requests go until it ends or a later one takes its place.
func (d *Door) Serve(stream *mux.Stream) {
	d.mu.Lock()
	d.stream = stream
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		if d.stream == stream {
			d.stream = nil
		}
		d.mu.Unlock()
		stream.Finish(struct{}{})
	}()
	stream.OnControl(d.verdict)
	<-stream.Cancelled
}

// verdict gives one message of the host to the request it is about; one that comes too late is about none.
func (d *Door) verdict(message []byte) {
	var said struct {
		Verdict struct {
			ID uint64 `json:"id"`
			Verdict
		} `json:"verdict"`
	}
	if json.Unmarshal(message, &said) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if answer := d.waiting[said.Verdict.ID]; answer != nil {
		delete(d.waiting, said.Verdict.ID)
		answer <- said.Verdict.Verdict
	}
}

// Ask sends a request and waits for the verdict. confirm makes an accepted request happen; call it once the answer is out.
func (d *Door) Ask(action, reason string) (verdict Verdict, confirm func()) {
	answer := make(chan Verdict, 1)
	stream, id, refusal := d.begin(answer)
	if refusal != "" {
		return Verdict{Message: refusal}, func() {}
	}
	go func() {
		d.send(stream, event{ID: id, Action: action, Reason: cut(reason)})
		d.mu.Lock()
		d.sending--
		d.mu.Unlock()
	}()
	timer := time.NewTimer(cmp.Or(d.wait, verdictWait))
	defer timer.Stop()
	select {
	case verdict = <-answer:
	case <-timer.C:
		verdict = Verdict{Message: nobody}
	}
	d.mu.Lock()
	delete(d.waiting, id)
	d.mu.Unlock()
	return verdict, func() {
		if verdict.Accepted {
			d.send(stream, event{ID: id, Go: true})
		}
	}
}

func (d *Door) begin(answer chan Verdict) (*mux.Stream, uint64, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stream == nil {
		return nil, 0, nobody
	}
	if d.sending >= maxWaiting || len(d.waiting) >= maxWaiting {
		return nil, 0, "too many requests at once; try again in a moment"
	}
	if d.waiting == nil {
		d.waiting = map[uint64]chan Verdict{}
	}
	d.last++
	d.sending++
	d.waiting[d.last] = answer
	return d.stream, d.last, ""
}

// send may block for as long as no host reads the port; what goes out later belongs to an epoch that is over.
func (d *Door) send(stream *mux.Stream, e event) {
	text, err := json.Marshal(e)
	if err == nil {
		stream.Send(eventsSub, append(text, '\n'))
	}
}

// cut returns at most 128 characters of a text, without what is no text.
func cut(reason string) string {
	runes := []rune(strings.ToValidUTF8(reason, "\uFFFD"))
	return string(runes[:min(len(runes), maxReason)])
}
