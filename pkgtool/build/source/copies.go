package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"ashlar/pkgtool/durable"

	"golang.org/x/sync/errgroup"
)

// Copies describes a folder of sources: index.json of what [Fetcher.Copy]
// writes. The files lie at sha256/HEX, h1/HEX and signature/HEX.
type Copies struct {
	Schema int    `json:"schema"` // 1
	Files  []Copy `json:"files"`  // by path
}

// Copy is one file of the folder.
type Copy struct {
	Path   string   `json:"path"`
	Name   string   `json:"name"`
	SHA256 string   `json:"sha256,omitempty"`
	H1     string   `json:"h1,omitempty"`
	Size   int64    `json:"size"` // bytes
	From   []string `json:"from"` // where it was pinned to come from
}

// mirrorPath is the file's place below a folder of copies.
func (s Source) mirrorPath() string { return strings.TrimPrefix(s.cachePath(), "sources/") }

// mirrorBase turns a folder or URL into a URL without a slash at its end.
func mirrorBase(place string) (string, error) {
	if u, err := url.Parse(place); err == nil && u.Scheme != "" {
		if u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file" {
			return "", fmt.Errorf("%s is not a folder or an http, https or file URL", Redact(place))
		}
		return strings.TrimRight(place, "/"), nil
	}
	abs, err := filepath.Abs(place)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: abs}).String(), nil
}

// places are the addresses a source was pinned to come from, fit to be shown.
func (s Source) places() []string {
	if s.Git != nil {
		return []string{"git+" + Redact(s.Git.URL) + "@" + s.Git.ID}
	}
	places := make([]string, len(s.URIs))
	for i, uri := range s.URIs {
		places[i] = Redact(uri)
	}
	return places
}

// Copy puts every source, and the signatures that were fetched for it, into a
// folder, where [Fetcher.Mirror] finds them. What is there and intact stays. It
// returns the folder's index, which it also writes; files that no source names
// stay and are not in it. progress may be nil; it can be called from several
// goroutines.
func (f *Fetcher) Copy(ctx context.Context, sources []Source, folder string, progress Progress) (*Copies, error) {
	var mu sync.Mutex
	byPath := map[string]Copy{}
	add := func(c Copy) {
		mu.Lock()
		defer mu.Unlock()
		if old, ok := byPath[c.Path]; ok {
			c.From = append(old.From, c.From...)
			slices.Sort(c.From)
			c.From = slices.Compact(c.From)
		}
		byPath[c.Path] = c
	}
	problems := make([]error, len(sources))
	var group errgroup.Group
	group.SetLimit(Transfers)
	for i, s := range Distinct(sources) {
		group.Go(func() error {
			problems[i] = f.copyOne(ctx, s, folder, progress, add)
			return nil
		})
	}
	group.Wait()
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	index := &Copies{Schema: 1, Files: []Copy{}}
	for _, c := range byPath {
		index.Files = append(index.Files, c)
	}
	slices.SortFunc(index.Files, func(a, b Copy) int { return strings.Compare(a.Path, b.Path) })
	return index, durable.Write(filepath.Join(folder, "index.json"), 0o644, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(index)
	})
}

func (f *Fetcher) copyOne(ctx context.Context, s Source, folder string, progress Progress, add func(Copy)) error {
	file, err := f.Fetch(ctx, s, progress)
	if err != nil {
		return err
	}
	paths := map[string]string{s.mirrorPath(): file}
	if s.Signature != nil && !s.Signature.local() {
		paths[s.signaturePath()] = f.signatureFile(s)
	}
	for rel, from := range paths {
		to := filepath.Join(folder, filepath.FromSlash(rel))
		c := Copy{Path: rel, Name: s.Name(), From: s.places()}
		if rel == s.mirrorPath() {
			c.SHA256, c.H1 = s.SHA256, s.H1
		} else {
			c.Name, c.From = "signature of "+c.Name, []string{Redact(s.Signature.URI)}
		}
		if c.Size, err = copyInto(from, to, rel == s.mirrorPath() && f.verify(ctx, s, to) == nil); err != nil {
			return fmt.Errorf("copy source %s: %w", s.Name(), err)
		}
		add(c)
	}
	return nil
}

// copyInto copies a file unless there says that to is it already.
func copyInto(from, to string, there bool) (size int64, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return 0, err
	}
	if there {
		return info.Size(), nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return 0, err
	}
	return info.Size(), durable.Write(to, 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

// Distinct drops repetitions of the same pinned bytes from the same places.
func Distinct(sources []Source) []Source {
	seen := map[string]bool{}
	var list []Source
	for _, s := range sources {
		key := strings.Join(append([]string{s.cachePath(), s.Base}, s.places()...), "\x00")
		if s.Signature != nil {
			key += "\x00" + s.Signature.URI
		}
		if !seen[key] {
			seen[key] = true
			list = append(list, s)
		}
	}
	return list
}
