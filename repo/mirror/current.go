package mirror

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ashlar/repo"
	"ashlar/repo/store"
	"ashlar/repo/transport"
)

// Files are all files of one verified state, to be copied by hand.
type Files struct {
	Settings  Settings
	Version   int64 // of the timestamp metadata
	Published time.Time
	Metadata  []File             // timestamp, snapshot, targets, then all roots
	Objects   []transport.Object // indexes, keyring and advisories first, then packages; each by path

	run *run
}

// File is a small file with its content.
type File struct {
	Path string
	Data []byte
}

// Current verifies the state that the first of sources shows which answers as it
// should, and lists its files. A mirror in a folder of this machine that is the
// first source says whom to trust if o does not. The caller calls Close.
func Current(ctx context.Context, sources []transport.Source, o Options) (*Files, error) {
	o.DryRun, o.Progress = true, nil
	r, done, err := prepare(ctx, nowhere{}, sources, o)
	if err != nil {
		return nil, err
	}
	files, err := r.current(ctx, sources[0])
	if err != nil {
		done()
		return nil, err
	}
	return files, nil
}

// Close removes what Open fetched.
func (f *Files) Close() error { return os.RemoveAll(f.run.scratch) }

func (r *run) current(ctx context.Context, first transport.Source) (*Files, error) {
	if _, local := first.(transport.Folder); local && r.Root == nil && r.Fingerprint == "" {
		known, err := readRecord(ctx, r.Limits, first)
		if err == nil {
			r.Root, r.Settings = known.Pinned, r.Settings.merged(known.Settings)
		}
	}
	if err := r.remember(ctx); err != nil {
		return nil, err
	}
	if err := r.follow(ctx); err != nil {
		return nil, err
	}
	var err error
	if r.survey, err = r.look(ctx); err != nil {
		return nil, err
	}
	if err := r.makePlan(ctx); err != nil {
		return nil, err
	}
	needed, err := r.needed(ctx)
	if err != nil {
		return nil, err
	}
	roots, err := r.roots(ctx)
	if err != nil {
		return nil, err
	}
	r.report(needed)
	packages, others := split(needed)
	files := &Files{Settings: r.Settings, Version: r.result.Version, Published: r.result.Published, Objects: slices.Concat(others, packages), run: r}
	files.Metadata = []File{{repo.TimestampPath, r.state.walk.Got.Timestamp}}
	for _, m := range slices.Concat(r.state.metadata, roots) {
		files.Metadata = append(files.Metadata, File{m.path, m.data})
	}
	return files, nil
}

// Open opens the content of an object. It is what a source has: the caller
// proves it.
func (f *Files) Open(ctx context.Context, o transport.Object) (*os.File, error) {
	var failures []error
	for _, s := range f.run.inOrder() {
		if folder, ok := s.Source.(transport.Folder); ok {
			file, err := transport.OpenRegular(folder.Path(o.Path))
			if err == nil {
				return file, nil
			}
			failures = append(failures, failure(s, o.Path, transport.Missing(err)))
			continue
		}
		path := filepath.Join(f.run.scratch, o.SHA256)
		err := f.run.fetch(ctx, s, o, path)
		if err == nil {
			file, err := os.Open(path)
			os.Remove(path) // it lives as long as it is open
			return file, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		failures = append(failures, failure(s, o.Path, err))
	}
	return nil, worst(failures)
}

// IsMirror reports whether a run has made a place a mirror.
func IsMirror(ctx context.Context, s transport.Source, l transport.Limits) (bool, error) {
	_, err := readRecord(ctx, l.OrDefault(), s)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Held tells yield of every object that a mirror is known to have.
func Held(ctx context.Context, s transport.Source, l transport.Limits, yield func(path string, size int64)) error {
	known, err := readList(ctx, l.OrDefault(), s)
	if err != nil {
		return err
	}
	for path, o := range known.objects {
		if o.present {
			yield(path, o.size)
		}
	}
	return nil
}

// nowhere is a store that has nothing and takes nothing.
type nowhere struct{ store.Store }

func (nowhere) String() string { return "nowhere" }

func (nowhere) Get(context.Context, string, int64) (*transport.Answer, error) {
	return nil, fs.ErrNotExist
}

func (nowhere) Stat(context.Context, string) (int64, error) { return 0, fs.ErrNotExist }

func (nowhere) List(context.Context, string, func(store.File) error) error { return nil }
