// Package measure moves bytes that nobody wants, so that the speed of everything else has something to be compared with.
package measure

import (
	"encoding/json"

	"createos.local/agent/internal/frame"
	"createos.local/agent/internal/mux"
)

const output = 1

// Discard handles one `discard` stream: it reads input and forgets it.
func Discard(stream *mux.Stream) {
	stream.Widen(mux.Bulk)
	total := 0
	for {
		data, more := stream.Borrow()
		if !more {
			stream.Finish(map[string]int{"bytes": total})
			return
		}
		total += len(data)
	}
}

// Source handles one `source` stream: it sends as many zeros as the request says.
func Source(stream *mux.Stream) {
	var wanted struct {
		Bytes int `json:"bytes"`
	}
	if err := json.Unmarshal(stream.Request, &wanted); err != nil || wanted.Bytes < 0 {
		stream.Fail("bad_request", "source needs a number of bytes")
		return
	}
	zeros := mux.NewOutput(frame.MaxPayload)
	for left := wanted.Bytes; left > 0; left -= frame.MaxPayload {
		if !stream.SendOutput(output, zeros, min(left, frame.MaxPayload)) {
			break
		}
	}
	stream.Finish(map[string]int{"bytes": wanted.Bytes})
}
