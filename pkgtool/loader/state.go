package loader

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// MaxTries is how often a generation that never started well is tried.
const MaxTries = 3

// State is what GRUB reads when the machine starts.
type State struct {
	Menu       string `json:"-"`                // a or b: the menu that counts
	Generation int    `json:"generation"`       // started by default
	Tries      int    `json:"tries"`            // left for it; -1 when it has started well
	Good       int    `json:"good"`             // started when no try is left
	Failed     int    `json:"failed,omitempty"` // the last generation that was left for not starting
}

// GRUB's environment block: a first line, settings, and # up to a fixed size.
const (
	blockSize   = 1024
	blockHeader = "# GRUB Environment Block\n"
)

// encode stays below one sector, which disks write as a whole.
func (s State) encode() []byte {
	tries := ""
	if s.Tries >= 0 {
		tries = strconv.Itoa(s.Tries)
	}
	text := fmt.Sprintf("%smenu=%s\ngeneration=%d\ntries=%s\ngood=%d\nfailed=%d\n", blockHeader, s.Menu, s.Generation, tries, s.Good, s.Failed)
	return append([]byte(text), bytes.Repeat([]byte("#"), blockSize-len(text))...)
}

// decodeState reads an environment block. What is missing or makes no sense is
// as in a new one: nothing is started by default, and nothing is counted.
func decodeState(block []byte) State {
	s := State{Menu: "a", Tries: -1}
	for _, line := range strings.Split(string(block), "\n") {
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		number, err := strconv.Atoi(value)
		sound := err == nil && number >= 0
		switch {
		case key == "menu" && value == "b":
			s.Menu = value
		case key == "generation" && sound:
			s.Generation = number
		case key == "tries" && sound && number <= MaxTries:
			s.Tries = number
		case key == "good" && sound:
			s.Good = number
		case key == "failed" && sound:
			s.Failed = number
		}
	}
	return s
}

// other is the menu that does not count.
func (s State) other() string {
	if s.Menu == "b" {
		return "a"
	}
	return "b"
}
