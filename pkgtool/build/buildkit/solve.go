package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/buildkit/inside"
	"ashlar/pkgtool/build/sandbox"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/session"
	"github.com/opencontainers/go-digest"
)

// Names below a work's folder of results.
const (
	destName  = "dest"
	buildName = "build"
)

// storeName is what a daemon calls the blobs of this host.
const storeName = "ashlar"

// parcel is a work as a daemon gets it.
type parcel struct {
	work   *build.Work
	stores provider
	order  inside.Order

	program digest.Digest   // pid 1
	root    []digest.Digest // images, topmost first
	filled  []mounted       // packed folders, for pid 1 to unpack
	shown   []mounted       // images, to be seen as they are
}

// mounted is a blob and where the container has it.
type mounted struct {
	path string
	blob digest.Digest
}

// pack makes the parcel of a work. Its own blobs go to dir, which the caller
// removes.
func (f *Farm) pack(w *build.Work, dir string) (*parcel, error) {
	own := store(dir)
	p := &parcel{
		work: w, stores: provider{own, f.layers.blobs},
		order: inside.Order{Env: w.Env, Commands: w.Commands, Limits: w.Limits, Folders: map[string]string{}},
	}
	var err error
	if p.program, err = f.program(); err != nil {
		return nil, err
	}
	for _, l := range w.Root {
		image, err := f.layers.image(l)
		if err != nil {
			return nil, err
		}
		p.root = append(p.root, image)
	}
	times := sourceTimes(w.Env)
	for _, folder := range []struct {
		host, path, packed string
		back               *string
	}{
		{w.Build, build.BuildFolder, inside.Build, &p.order.Build},
		{w.Dest, build.DestFolder, inside.Dest, &p.order.Dest},
	} {
		if folder.host == "" {
			continue
		}
		blob, err := own.putFolder(folder.host, times.ofFolders)
		if err != nil {
			return nil, fmt.Errorf("pack %s for the farm: %w", folder.path, err)
		}
		p.order.Folders[folder.path] = folder.packed
		p.filled = append(p.filled, mounted{folder.packed, blob.Digest})
		*folder.back = folder.path
	}
	for _, folder := range []struct{ host, path string }{
		{w.Sources, build.SourcesFolder}, {w.Files, build.RecipeFolder},
	} {
		if folder.host == "" {
			continue
		}
		image, err := own.putImage(folder.host, times.ofAll)
		if err != nil {
			return nil, fmt.Errorf("pack %s for the farm: %w", folder.path, err)
		}
		p.shown = append(p.shown, mounted{folder.path, image})
	}
	return p, nil
}

// sourceTime is the time of sources, for what only has the time at which it was
// copied: the same sources then are the same blob.
type sourceTime time.Time

func sourceTimes(env []string) sourceTime {
	for _, entry := range env {
		if text, ok := strings.CutPrefix(entry, "SOURCE_DATE_EPOCH="); ok {
			if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
				return sourceTime(time.Unix(seconds, 0))
			}
		}
	}
	return sourceTime(time.Unix(1, 0))
}

func (t sourceTime) ofAll(fs.FileMode, time.Time) time.Time { return time.Time(t) }

// ofFolders keeps the times of files: make compares those.
func (t sourceTime) ofFolders(kind fs.FileMode, own time.Time) time.Time {
	if kind.IsDir() {
		return time.Time(t)
	}
	return own
}

// definition describes the container to a daemon.
func (p *parcel) definition(ctx context.Context) (*llb.Definition, error) {
	image := func(d digest.Digest) llb.State {
		return llb.OCILayout("ashlar/image@"+d.String(), llb.OCIStore("", storeName))
	}
	file := func(d digest.Digest, name string, mode os.FileMode) llb.State {
		return llb.OCILayoutBlob("ashlar/blob@"+d.String(), llb.ImageBlobOCIStore("", storeName), llb.Filename(name), llb.Chmod(mode))
	}
	var layers []llb.State
	for _, d := range slices.Backward(p.root) {
		layers = append(layers, image(d))
	}
	root := llb.Merge(layers)
	limits := p.work.Limits.OrDefault()
	options := []llb.RunOption{
		llb.Args([]string{inside.Program + "/" + inside.Name, inside.Argument}),
		llb.IgnoreCache, llb.WithCustomName(p.work.Recipe),
		llb.AddSSHSocket(llb.SSHSocketTarget(inside.Socket)),
		llb.AddMount(inside.Program, file(p.program, inside.Name, 0o755), llb.Readonly),
		llb.AddMount("/tmp", llb.Scratch(), llb.Tmpfs(llb.TmpfsSize(limits.Tmp))),
		llb.AddMount("/dev/shm", llb.Scratch(), llb.Tmpfs()),
		// A daemon puts its host's /sys and files about names into a container; a
		// build on this host sees none of them. Written like this, the mount comes
		// after those below /sys instead of in the place of the daemon's.
		llb.AddMount("/sys/.", llb.Scratch(), llb.ForceNoOutput),
		llb.AddMount("/etc", p.etc(root), llb.SourcePath("/etc"), llb.ForceNoOutput),
	}
	for _, m := range p.filled {
		options = append(options, llb.AddMount(m.path, file(m.blob, inside.Packed, 0o600), llb.Readonly))
	}
	for folder := range p.order.Folders {
		options = append(options, llb.AddMount(folder, llb.Scratch(), llb.ForceNoOutput))
	}
	for _, m := range p.shown {
		options = append(options, llb.AddMount(m.path, image(m.blob), llb.Readonly))
	}
	// No two solves are the same to a daemon: the commands are not in them.
	run := root.Hostname(sandbox.HostName).Network(llb.NetModeNone).AddEnv("ASHLAR_RUN", identity.NewID()).Dir("/").Run(options...)
	return run.Root().Marshal(ctx, llb.LinuxAmd64)
}

// etc is a state with the folder /etc of the root.
func (p *parcel) etc(root llb.State) llb.State {
	for _, l := range p.work.Root {
		if info, err := os.Lstat(filepath.Join(l.Dir, "etc")); err == nil && info.IsDir() {
			return root
		}
	}
	return llb.Scratch().File(llb.Mkdir("/etc", 0o755))
}

// solve runs a parcel on a daemon. What comes back lies in the folder into. An
// error of type *lostError is the daemon's, not the work's.
func (p *parcel) solve(ctx context.Context, c *client.Client, into string) (*inside.Result, error) {
	definition, err := p.definition(ctx)
	if err != nil {
		return nil, err
	}
	solving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	talk := newTalk(p.work, p.order, into, stop)
	said := make(chan *client.SolveStatus)
	last := lastWords(said)
	_, solveErr := c.Solve(solving, definition, client.SolveOpt{
		Session:   []session.Attachable{talk},
		OCIStores: map[string]content.Store{storeName: p.stores},
		Internal:  true, // keep it out of the daemon's list of builds
	}, said)
	words := <-last
	result, talkErr := talk.outcome()
	var exit *gateway.ExitError
	switch cause := context.Cause(solving); {
	case result != nil:
		return result, nil // all of it is here, whatever happened to the daemon since
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case cause != nil && cause != errSilent:
		return nil, cause
	case cause != nil:
		return nil, &lostError{cause}
	case errors.As(solveErr, &exit):
		if words != "" {
			return nil, &lostError{fmt.Errorf("pid 1 of the build's container: %s", words)}
		}
		return nil, fmt.Errorf("pid 1 of the build's container ended before its commands did, with status %d; was its machine out of memory?", exit.ExitCode)
	case solveErr == nil:
		return nil, &lostError{fmt.Errorf("no result came: %w", talkErr)}
	}
	return nil, &lostError{solveErr}
}

// lastWords collects what pid 1 printed itself: why it could not go on.
func lastWords(said <-chan *client.SolveStatus) <-chan string {
	last := make(chan string, 1)
	go func() {
		var words []byte
		for status := range said {
			for _, l := range status.Logs {
				words = append(words, l.Data[:min(len(l.Data), maxWords-len(words))]...)
			}
		}
		last <- strings.TrimSpace(strings.ToValidUTF8(string(words), "?"))
	}()
	return last
}

// maxWords bounds what a daemon may put into an error, in bytes.
const maxWords = 2 << 10

// lostError is a work that did not run to its end for a reason of the daemon.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// take puts what came back into the work's folders.
func (p *parcel) take(into string) error {
	for name, host := range map[string]string{destName: p.work.Dest, buildName: p.work.Build} {
		from := filepath.Join(into, name)
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := replace(host, from); err != nil {
			return err
		}
	}
	return nil
}

// replace makes dir what from is. Folders on the way out go aside first, so that
// a failure leaves one or the other.
func replace(dir, from string) error {
	old := from + ".old"
	if err := os.Rename(dir, old); err != nil {
		return err
	}
	if err := os.Rename(from, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return sandbox.RemoveTree(old)
}
