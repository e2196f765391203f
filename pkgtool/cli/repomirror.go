package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/fault"
	"ashlar/repo"
	"ashlar/repo/mirror"
	"ashlar/repo/store"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"

	"github.com/spf13/cobra"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// mirrorFlags are those that all commands about mirrors share.
type mirrorFlags struct {
	root   string
	grace  string
	option mirror.Options
}

// trust adds the flags that say whom to trust.
func (m *mirrorFlags) trust(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.root, "root-file", "", "the publisher's root metadata, needed the first time")
	cmd.Flags().StringVar(&m.option.Fingerprint, "fingerprint", "", "sha256 of the publisher's root metadata, instead of the file")
	cmd.RegisterFlagCompletionFunc("fingerprint", cobra.NoFileCompletions)
}

// part adds the flags that select a part of a repository.
func (m *mirrorFlags) part(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&m.option.Channels, "channel", nil, "copy this channel only; may be given several times; all lifts an earlier choice")
	cmd.Flags().StringArrayVar(&m.option.Arches, "arch", nil, "copy this arch and noarch only; may be given several times; all lifts an earlier choice")
	cmd.RegisterFlagCompletionFunc("channel", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("arch", cobra.FixedCompletions([]string{"x86_64", mirror.All}, cobra.ShellCompDirectiveNoFileComp))
}

func (m *mirrorFlags) jobs(cmd *cobra.Command) {
	cmd.Flags().IntVar(&m.option.Jobs, "jobs", 8, "transfers at once")
}

// options completes what the flags say. own is a place that may be the user's
// own repository, whose root needs nobody's word.
func (m *mirrorFlags) options(app *App, to string, own ...string) (mirror.Options, error) {
	o := m.option
	if o.Jobs < 1 || o.Jobs > 256 {
		return o, fault.Errorf(fault.Usage, "--jobs %d: use 1 to 256", o.Jobs)
	}
	if m.grace != "" {
		grace, err := parseDays(m.grace)
		if err != nil {
			return o, fault.Mark(fmt.Errorf("--grace: %w", err), fault.Usage, "")
		}
		o.Grace = grace
	}
	if m.root != "" {
		data, err := transport.ReadSmall(m.root, tuf.MaxSize[metadata.ROOT])
		if err != nil {
			return o, err
		}
		o.Root = data
	}
	if o.Root == nil && o.Fingerprint == "" {
		o.Root = ownRoot(own)
	}
	o.Warn = func(err error) { app.Say("warning: %v", err) }
	o.Progress = app.mirrorProgress()
	return o, scratchFor(&o, to)
}

// scratchFor names the folder for what is arriving at a place that is no folder.
func scratchFor(o *mirror.Options, to string) error {
	cache, err := source.DefaultCacheDir()
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(to))
	o.Scratch = filepath.Join(cache, "mirror", hex.EncodeToString(sum[:8]))
	return nil
}

// ownRoot returns the root of the first place that is a repository of the
// user's own: the folder's first root is the one beside the user's keys.
func ownRoot(places []string) []byte {
	for _, dir := range places {
		dir = strings.TrimPrefix(dir, "file://")
		r, err := repo.Open(dir, repoOptions())
		if err != nil {
			continue
		}
		root, err := mirror.OwnRoot(dir)
		if err != nil {
			continue
		}
		kept, err := os.ReadFile(filepath.Join(repoOptions().Keys, "repositories", r.Name(), "1.root.json"))
		if err == nil && string(kept) == string(root) {
			return root
		}
	}
	return nil
}

var daysAndMore = regexp.MustCompile(`^([0-9]{1,5})d(.*)$`)

// parseDays reads a duration such as 30d, 1d12h or 36h.
func parseDays(text string) (time.Duration, error) {
	var sum time.Duration
	rest := text
	if m := daysAndMore.FindStringSubmatch(text); m != nil {
		days, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, err
		}
		sum, rest = time.Duration(days)*24*time.Hour, m[2]
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration; write 30d or 36h", text)
		}
		sum += d
	}
	if sum <= 0 {
		return 0, fmt.Errorf("%q is not longer than nothing", text)
	}
	return sum, nil
}

// mirrorProgress draws one moving line on a terminal, and nothing elsewhere.
func (a *App) mirrorProgress() func(mirror.Progress) {
	if a.Quiet || a.JSON || !terminal(a.Err) {
		return nil
	}
	var mu sync.Mutex
	var drawn time.Time
	begin, first := time.Now(), int64(0)
	return func(p mirror.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(drawn) < 100*time.Millisecond {
			return
		}
		if drawn.IsZero() {
			begin, first = time.Now(), p.Bytes
		}
		drawn = time.Now()
		rate := float64(p.Bytes-first) / max(0.1, time.Since(begin).Seconds())
		fmt.Fprintf(a.Err, "\r\033[K%d of %d objects, %s of %s, %s/s", p.Objects, p.TotalObjects, mebibytes(p.Bytes), mebibytes(p.TotalBytes), mebibytes(int64(rate)))
	}
}

func repoMirror(app *App) *cobra.Command {
	var flags mirrorFlags
	cmd := &cobra.Command{
		Use: "mirror SOURCE... DESTINATION", Short: "Copy a repository, and keep the copy up to date", Args: cobra.MinimumNArgs(2),
		Long: `Makes DESTINATION show the state that SOURCE shows, with all of its packages.
Everything is verified before anyone can see it, and readers see one state or
the next, never a mixture. Only what is missing is transferred; a run that was
interrupted goes on where it was. Of several sources the next one is asked where
one fails. Run it from a timer: if nothing is new it costs two requests.

SOURCE is a folder or a URL that clients can read; DESTINATION is a folder or
the URL of an object store or registry. The first time, say which root is to be
trusted (--root-file or --fingerprint, from the publisher and not from the
source); a repository that you have made yourself needs neither. Trust and
choices are kept in DESTINATION.

What the copy does not show any more is removed after the grace period (30d, see
--grace). Files that no run has brought are reported and never removed.`,
		Example: `  pkgtool repo mirror https://packages.example.org/ /srv/mirror --root-file root.json
  pkgtool repo mirror https://packages.example.org/ /srv/mirror
  pkgtool repo mirror /srv/repo s3://bucket/repo --channel stable --arch x86_64
  pkgtool repo mirror status /srv/mirror --origin https://packages.example.org/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			last := len(args) - 1
			o, err := flags.options(app, args[last], args[:last]...)
			if err != nil {
				return err
			}
			sources, done, err := openSources(cmd.Context(), args[:last])
			if err != nil {
				return err
			}
			defer done()
			result, err := app.mirrorTo(cmd.Context(), args[last], func(to store.Store) (*mirror.Result, error) {
				return mirror.Sync(cmd.Context(), to, sources, o)
			})
			if err != nil {
				return err
			}
			return app.printMirrored(args[last], result, o.DryRun)
		},
	}
	flags.trust(cmd)
	flags.part(cmd)
	flags.jobs(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.grace, "grace", "", "keep what is not shown any more for so long: 30d, 36h (default: as before, at first 30d)")
	f.BoolVar(&flags.option.Verify, "verify", false, "read everything that is there, and fetch again what is damaged")
	f.BoolVar(&flags.option.DryRun, "dry-run", false, "say what is missing, and change nothing")
	cmd.RegisterFlagCompletionFunc("grace", cobra.NoFileCompletions)
	cmd.AddCommand(repoMirrorStatus(app))
	return cmd
}

// openSources opens places to read from; done closes them.
func openSources(ctx context.Context, texts []string) (sources []transport.Source, done func(), err error) {
	client := transport.NewHTTPClient(transport.Limits{}.OrDefault())
	var closers []func()
	done = func() {
		for _, c := range closers {
			c()
		}
		client.CloseIdleConnections()
	}
	for _, text := range texts {
		s, closeIt, err := mirror.OpenSource(ctx, text, client)
		if err != nil {
			done()
			return nil, nil, err
		}
		sources, closers = append(sources, s), append(closers, closeIt)
	}
	return sources, done, nil
}

// mirrorTo opens a destination for a run.
func (a *App) mirrorTo(ctx context.Context, to string, do func(store.Store) (*mirror.Result, error)) (*mirror.Result, error) {
	s, err := store.Open(ctx, to)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	result, err := do(s)
	a.clearLine()
	return result, err
}

// pushTo makes a destination show what the repository in dir shows: the last
// step of publishing.
func (a *App) pushTo(ctx context.Context, dir, to string) (*mirror.Result, error) {
	o := mirror.Options{Warn: func(err error) { a.Say("warning: %v", err) }, Progress: a.mirrorProgress()}
	if err := scratchFor(&o, to); err != nil {
		return nil, err
	}
	return a.mirrorTo(ctx, to, func(s store.Store) (*mirror.Result, error) { return mirror.Push(ctx, dir, s, o) })
}

func (a *App) printMirrored(to string, r *mirror.Result, dry bool) error {
	return a.Print(map[string]any{"schema": 1, "dry_run": dry, "mirror": r}, func(w io.Writer) {
		state := fmt.Sprintf("version %d, published %s, good until %s", r.Version, r.Published.UTC().Format(time.RFC3339), r.Expires.UTC().Format(time.RFC3339))
		switch {
		case dry && r.Needed == 0 && !r.Changed:
			fmt.Fprintf(w, "%s has all of %s\n", to, state)
		case dry:
			fmt.Fprintf(w, "%s lacks %d of %d objects, %s, of %s\n", to, r.Needed, r.Objects, mebibytes(r.NeededBytes), state)
		case r.Changed:
			fmt.Fprintf(w, "%s shows %s: %d objects, %s; %d of them, %s, were transferred\n", to, state, r.Objects, mebibytes(r.Bytes), r.Fetched, mebibytes(r.FetchedBytes))
		default:
			fmt.Fprintf(w, "%s is up to date: %s\n", to, state)
		}
		for _, path := range r.Damaged {
			fmt.Fprintf(w, "damaged: %s\n", path)
		}
		if r.Removed > 0 {
			fmt.Fprintf(w, "removed %d objects after their grace period, %s\n", r.Removed, mebibytes(r.RemovedBytes))
		}
		if n := len(r.Strangers) + r.More; n > 0 {
			fmt.Fprintf(w, "%d files are there that no run has brought; the first is %s\n", n, r.Strangers[0])
		}
	})
}
