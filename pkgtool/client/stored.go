package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo/transport"
	"ashlar/repo/trust"
	"ashlar/repo/tuf"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sys/unix"
)

const maxStored = 16 << 20

// readStored returns the pinned root and, if it descends from it, what is
// stored. After a change of the pinned root the walk begins at that one; the
// rest is kept and counts as far as the new root vouches for it.
func (r *repository) readStored() (trust.State, error) {
	pinned, err := transport.ReadSmall(r.trustPath(), tuf.MaxSize[metadata.ROOT])
	if errors.Is(err, fs.ErrNotExist) {
		return trust.State{}, fault.Mark(fmt.Errorf("repository %s is not trusted: there is no root at %s", r.config.Name, r.trustPath()),
			fault.Security, "get its root.json from whoever publishes it (pkgtool repo trust) and put it there")
	}
	if err != nil {
		return trust.State{}, err
	}
	fresh := trust.State{Format: 1, Pin: sumOf(pinned), Root: pinned}
	if fresh.Timestamp, err = r.readFloor(); err != nil {
		return trust.State{}, err
	}
	data, err := transport.ReadSmall(r.statePath(), maxStored)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return trust.State{}, err
	}
	var s trust.State
	if err := json.Unmarshal(data, &s); err != nil || s.Format != 1 {
		return trust.State{}, fault.Mark(fmt.Errorf("%s is damaged", r.statePath()), fault.Security,
			"if you know why, remove the file and refresh: the next refresh cannot tell whether a mirror goes back in time")
	}
	if s.Pin != fresh.Pin {
		s.Pin, s.Root = fresh.Pin, fresh.Root
	}
	if fresh.Further(s) {
		s.Timestamp = fresh.Timestamp
	}
	return s, nil
}

// readFloor reads timestamp metadata that came to the system together with the
// pinned root, such as in an image: no mirror may go back behind it, even if all
// that was seen since is lost. Without the file there is none.
func (r *repository) readFloor() ([]byte, error) {
	data, err := transport.ReadSmall(filepath.Join(filepath.Dir(r.trustPath()), "timestamp.json"), tuf.MaxSize[metadata.TIMESTAMP])
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// maxEvidence bounds how many files of evidence are kept for a repository.
const maxEvidence = 32

// keepEvidence keeps two contents of one version for whoever looks into it.
func (r *repository) keepEvidence(two *trust.Contradiction) error {
	dir := filepath.Join(filepath.Dir(r.statePath()), "evidence")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	kept, err := os.ReadDir(dir)
	if err != nil || len(kept) >= maxEvidence {
		return err
	}
	for _, data := range two.Contents {
		path := filepath.Join(dir, fmt.Sprintf("%d.%.16s.timestamp.json", two.Version, sumOf(data)))
		if err := durable.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *repository) writeStored(s trust.State) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return durable.WriteFile(r.statePath(), append(data, '\n'), 0o644)
}

func (r *repository) trustPath() string {
	return filepath.Join(r.client.dirs.Trust, r.config.Name, "root.json")
}

func (r *repository) statePath() string {
	return filepath.Join(r.client.dirs.State, r.config.Name, "trusted.json")
}

// lockState keeps two refreshes of a repository from overtaking each other.
func (r *repository) lockState(ctx context.Context) (unlock func(), err error) {
	dir := filepath.Dir(r.statePath())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := durable.Lock(ctx, f); err != nil {
		f.Close()
		return nil, fmt.Errorf("another pkgtool is refreshing repository %s: %w", r.config.Name, err)
	}
	return func() { f.Close() }, nil
}
