package self

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"time"
)

// FIFO is the second way in (wire-api 17): the words park and retire.
const FIFO = "/run/self"

const (
	maxWords  = 8
	wordPause = 100 * time.Millisecond
)

var fifoActions = map[string]string{"park": "pause", "retire": "delete"}

// ServeFIFO makes the FIFO and reads words from it until it cannot; every program of the guest may write there.
func (d *Door) ServeFIFO(path string, log func(format string, values ...any)) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := syscall.Mkfifo(path, 0o622); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o622); err != nil {
		return err
	}
	// Open for both directions: the last writer that leaves is not the end.
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	buffer := make([]byte, 512)
	for {
		n, err := file.Read(buffer)
		if err != nil {
			return err
		}
		words := strings.Fields(string(buffer[:n]))
		for _, word := range words[:min(len(words), maxWords)] {
			d.word(word, log)
		}
	}
}

// word does what one word asks for; a flood of them is slowed down, its console lines with it.
func (d *Door) word(word string, log func(format string, values ...any)) {
	defer time.Sleep(wordPause)
	action := fifoActions[word]
	if action == "" {
		log("%s: %.20q is neither park nor retire", FIFO, word)
		return
	}
	verdict, confirm := d.Ask(action, "asked for through "+FIFO)
	if !verdict.Accepted {
		log("%s: %s: %s", FIFO, word, verdict.Message)
		return
	}
	confirm()
}
