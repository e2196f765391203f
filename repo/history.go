package repo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"ashlar/pkgtool/durable"
)

// .ashlar/history.jsonl has a line for each state that clients could see, in
// order. Prune keeps what the younger ones need.

// publishedState is one line of the history.
type publishedState struct {
	Timestamp int64     `json:"timestamp"` // versions of the metadata
	Snapshot  int64     `json:"snapshot"`
	Targets   int64     `json:"targets"`
	Published time.Time `json:"published"`
}

func (r *Repository) historyPath() string { return r.path(privateDir, "history.jsonl") }

// readHistory skips lines that a power cut left incomplete.
func (r *Repository) readHistory() ([]publishedState, error) {
	data, err := os.ReadFile(r.historyPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []publishedState
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var line publishedState
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Timestamp > 0 && line.Snapshot > 0 && line.Targets > 0 {
			all = append(all, line)
		}
	}
	return all, nil
}

// record adds a state to the history, unless it is the last one there. It is
// called after each publication, and before the next in case that was killed.
func (r *Repository) record(s *state) error {
	if s.timestamp == nil {
		return nil
	}
	line := publishedState{s.timestamp.Signed.Version, s.snapshot.Signed.Version, s.targets.Signed.Version, publishedAt(&s.timestamp.Signed)}
	f, err := os.OpenFile(r.historyPath(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	last, err := lastLine(f)
	if err != nil {
		return err
	}
	var before publishedState
	if json.Unmarshal(last, &before) == nil && before.Timestamp == line.Timestamp {
		return nil
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if len(last) > 0 && last[len(last)-1] != '\n' {
		text = append([]byte{'\n'}, text...)
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", f.Name(), err)
	}
	return durable.SyncDir(r.path(privateDir))
}

// lastLine returns the last line of a history, with its newline if it has one.
func lastLine(f *os.File) ([]byte, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	tail := make([]byte, min(size, 4096))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return nil, err
	}
	at := bytes.LastIndexByte(bytes.TrimSuffix(tail, []byte{'\n'}), '\n')
	return tail[at+1:], nil
}

// writeHistory replaces the history by what is left of it.
func (r *Repository) writeHistory(all []publishedState) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	for _, line := range all {
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return durable.WriteFile(r.historyPath(), out.Bytes(), 0o644)
}
