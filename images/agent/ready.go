package main

import (
	"encoding/json"
	"time"
)

// version is set when the agent is built.
var version = "dev"

const protocolVersion = 1

// capabilities has one kind of stream, or a part of one, on each line.
var capabilities = []string{
	"exec",
	"pty",
	"shell",
	"process",
	"configure",
	"wake",
	"links",
	"stats",
	"ping",
	"shutdown",
	"sftp",
	"sync",
	"dial",
	"files",
	"measure",
	"grow",
	"settle",
	"events",
	"mounts",
}

func ready(failure string, begun time.Time) []byte {
	state := map[string]string{"state": "ready"}
	if failure != "" {
		state = map[string]string{"state": "failed", "reason": failure}
	}
	text, _ := json.Marshal(map[string]any{
		"version":      protocolVersion,
		"agent":        version,
		"capabilities": capabilities,
		"boot":         state,
		"boot_ms":      time.Since(begun).Milliseconds(),
	})
	return text
}
