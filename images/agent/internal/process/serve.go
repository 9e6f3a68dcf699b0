package process

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"createos.local/agent/internal/launch"
	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/pty"
)

const (
	replySub = 1
	// batchBytes is about how much one write of an attached reader carries.
	batchBytes = 48 << 10
	recordHead = 13
)

// request is the JSON of a `process` stream; which keys matter depends on op.
type request struct {
	launch.Spec
	Op        string   `json:"op"`
	ID        string   `json:"id"`
	After     uint64   `json:"after"`
	Signal    string   `json:"signal"`
	Size      pty.Size `json:"size"`
	Scope     string   `json:"scope"`
	TimeoutMS int64    `json:"timeout_ms"`
	GraceMS   int64    `json:"grace_ms"`
}

// Serve handles one `process` stream.
func (r *Registry) Serve(stream *mux.Stream) {
	r.prepare()
	var wanted request
	if err := json.Unmarshal(stream.Request, &wanted); err != nil {
		stream.Fail("bad_request", "process is malformed: "+err.Error())
		return
	}
	switch wanted.Op {
	case "start":
		r.serveStart(stream, &wanted)
	case "list":
		r.serveList(stream)
	default:
		p := r.find(wanted.ID)
		act, known := operations[wanted.Op]
		switch {
		case !known:
			stream.Fail("bad_request", fmt.Sprintf("unknown op %q", wanted.Op))
		case p == nil:
			stream.Fail("no_process", "there is no such process")
		default:
			act(p, stream, &wanted)
		}
	}
}

var operations = map[string]func(*process, *mux.Stream, *request){
	"get":    func(p *process, stream *mux.Stream, _ *request) { reply(stream, p, true) },
	"attach": func(p *process, stream *mux.Stream, wanted *request) { p.attach(stream, wanted.After) },
	"input":  (*process).serveInput, "close_stdin": (*process).serveCloseStdin, "resize": (*process).serveResize,
	"signal": (*process).serveSignal, "wait": (*process).serveWait, "delete": (*process).serveDelete,
}

func (r *Registry) serveStart(stream *mux.Stream, wanted *request) {
	wanted.Stdin = true
	p, failed := r.start(&wanted.Spec)
	if failed != nil {
		stream.Fail(failed.Code, failed.Message)
		return
	}
	reply(stream, p, true)
}

func (r *Registry) serveList(stream *mux.Stream) {
	for _, p := range r.list() {
		if !send(stream, p.view()) {
			break
		}
	}
	stream.Finish(struct{}{})
}

// reply describes a process: the description may be longer than a frame, so it is data and not the result.
func reply(stream *mux.Stream, p *process, done bool) {
	send(stream, p.view())
	stream.Finish(struct {
		Done bool `json:"done"`
	}{done})
}

// send writes one line of JSON.
func send(stream *mux.Stream, value any) bool {
	text, err := json.Marshal(value)
	return err == nil && stream.Send(replySub, append(text, '\n'))
}

// serveInput takes the whole input of a call before any of it is queued: what two clients send does not mix.
func (p *process) serveInput(stream *mux.Stream, _ *request) {
	var all []byte
	for data, more := stream.Receive(); more; data, more = stream.Receive() {
		if all = append(all, data...); len(all) > inputBytes {
			break
		}
	}
	seq, code := p.input.put(all, stream.Cancelled)
	if code != "" {
		stream.Fail(code, inputTrouble[code])
		return
	}
	stream.Finish(map[string]uint64{"input_seq": seq})
}

var inputTrouble = map[string]string{
	"input_closed": "the input of the process is closed",
	"input_full":   "the process does not read its input",
	"too_large":    fmt.Sprintf("one call may bring %d bytes of input", inputBytes),
}

func (p *process) serveCloseStdin(stream *mux.Stream, _ *request) {
	if p.onTerminal() {
		stream.Fail("wrong_kind", "the input of a terminal cannot be closed")
		return
	}
	p.input.end()
	stream.Finish(struct{}{})
}

func (p *process) serveResize(stream *mux.Stream, wanted *request) {
	switch {
	case !p.onTerminal():
		stream.Fail("wrong_kind", "the process has no terminal")
	case p.child.Pty.Resize(wanted.Size.OrDefault()) != nil:
		stream.Fail("ended", "the process has ended")
	default:
		stream.Finish(struct{}{})
	}
}

func (p *process) serveSignal(stream *mux.Stream, wanted *request) {
	number, known := launch.SignalNumber(wanted.Signal)
	switch {
	case !known:
		stream.Fail("bad_request", fmt.Sprintf("unknown signal %q", wanted.Signal))
	case !p.signal(number):
		stream.Fail("ended", "the process has ended")
	default:
		stream.Finish(struct{}{})
	}
}

func (p *process) serveWait(stream *mux.Stream, wanted *request) {
	gone := p.leaderGone
	if wanted.Scope == "tree" {
		gone = p.treeGone
	}
	select {
	case <-gone:
		reply(stream, p, true)
	case <-time.After(time.Duration(wanted.TimeoutMS) * time.Millisecond):
		reply(stream, p, false)
	case <-stream.Cancelled:
		stream.Finish(struct{}{})
	}
}

func (p *process) serveDelete(stream *mux.Stream, wanted *request) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if !p.treeExited() {
			p.terminate(time.Duration(wanted.GraceMS) * time.Millisecond)
		}
	}()
	select {
	case <-ended:
		reply(stream, p, p.treeExited())
	case <-stream.Cancelled:
		stream.Finish(struct{}{})
	}
}

// attach sends records of events until the exit is sent, everything is over, or the reader has fallen behind the journal.
func (p *process) attach(stream *mux.Stream, after uint64) {
	if after == 0 {
		after = p.journal.start()
	}
	first := after
	for {
		page := p.journal.after(after, batchBytes)
		switch {
		case page.expired:
			finish(stream, "expired", page.oldest)
			return
		case len(page.events) > 0:
			if !stream.Send(replySub, records(page.events)) {
				finish(stream, "cancelled", 0)
				return
			}
			after = page.events[len(page.events)-1].seq
		case page.exit > first && after >= page.exit:
			finish(stream, "exit", 0)
			return
		case page.closed:
			finish(stream, "over", 0)
			return
		default:
			select {
			case <-page.changed:
			case <-stream.Cancelled:
				finish(stream, "cancelled", 0)
				return
			}
		}
	}
}

func finish(stream *mux.Stream, end string, oldest uint64) {
	stream.Finish(struct {
		End       string `json:"end"`
		OldestSeq uint64 `json:"oldest_seq"`
	}{end, oldest})
}

// records encodes events: source, number and length, then the data.
func records(events []event) []byte {
	var all []byte
	for _, e := range events {
		all = append(all, e.source)
		all = binary.BigEndian.AppendUint64(all, e.seq)
		all = binary.BigEndian.AppendUint32(all, uint32(len(e.data)))
		all = append(all, e.data...)
	}
	return all
}
