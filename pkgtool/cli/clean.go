package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// cleanFlags say what clean removes.
type cleanFlags struct {
	keep       int
	age        time.Duration
	dryRun     bool
	background bool

	generations, cache bool // what to clean; both if neither is named
}

// cleanResult is what clean prints as JSON.
type cleanResult struct {
	Schema int             `json:"schema"`
	DryRun bool            `json:"dry_run"`
	Pruned *system.Pruned  `json:"pruned"`
	Cache  []client.Cached `json:"cache"`       // removed files
	Bytes  int64           `json:"cache_bytes"` // of those
}

func cleanCommand(app *App) *cobra.Command {
	var f cleanFlags
	cmd := &cobra.Command{
		Use: "clean", Short: "Remove old generations and cached packages", Args: cobra.NoArgs,
		Long: `Remove old generations, with the file contents that only they need, and cached packages.
The current generation and pinned ones stay, the last --keep, and those younger than
--age. Afterwards one cannot roll back to what was removed.`,
		Example: "  pkgtool clean --dry-run\n  pkgtool clean --keep 3 --age 720h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.keep < 1 {
				return fault.Mark(errors.New("at least one generation must stay"), fault.Usage, "--keep 1")
			}
			if f.background {
				return app.cleanBehind(cmd.Context(), f)
			}
			return app.clean(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.keep, "keep", system.DefaultKeep, "how many generations stay")
	flags.DurationVar(&f.age, "age", 0, "generations younger than this stay too, for example 720h")
	flags.BoolVar(&f.generations, "generations", false, "clean only generations")
	flags.BoolVar(&f.cache, "cache", false, "clean only cached packages")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would be removed and remove nothing")
	flags.BoolVar(&f.background, "background", false, "work at the lowest priority, give way to other commands, say nothing")
	if err := flags.MarkHidden("background"); err != nil {
		panic(err)
	}
	return cmd
}

func (a *App) clean(ctx context.Context, f cleanFlags) error {
	both := f.generations == f.cache
	return a.withSystem(func(sys *system.System) (err error) {
		pruned := &system.Pruned{Generations: []int{}}
		if f.generations || both {
			if pruned, err = prune(ctx, sys, f); err != nil {
				return err
			}
		}
		var removed []client.Cached
		if f.cache || both {
			removed, err = client.DirsOf(a.Root).CleanCache(ctx, client.CachePolicy{Bytes: 0, DryRun: f.dryRun})
			if err != nil {
				return err
			}
		}
		result := cleanResult{Schema: 1, DryRun: f.dryRun, Pruned: pruned, Cache: list(removed)}
		for _, c := range removed {
			result.Bytes += c.Size
		}
		return a.Print(result, func(w io.Writer) {
			verb := "removed"
			if f.dryRun {
				verb = "would remove"
			}
			fmt.Fprintf(w, "%s %d generations with %d contents, %s\n", verb, len(pruned.Generations), pruned.Objects, mebibytes(pruned.Bytes))
			fmt.Fprintf(w, "%s %d cached files, %s\n", verb, len(removed), mebibytes(result.Bytes))
		})
	})
}

func prune(ctx context.Context, sys *system.System, f cleanFlags) (*system.Pruned, error) {
	return sys.Prune(ctx, system.Policy{Keep: f.keep, Age: f.age, DryRun: f.dryRun})
}

// cleanBehind prunes while nobody waits for it. If somebody else works on the
// system there will be another time.
func (a *App) cleanBehind(ctx context.Context, f cleanFlags) error {
	// Neither is needed for the result.
	unix.Setpriority(unix.PRIO_PROCESS, 0, 19)
	const classIdle = 3 << 13 // IOPRIO_CLASS_IDLE, see ioprio_set(2)
	unix.Syscall(unix.SYS_IOPRIO_SET, 1, 0, classIdle)
	sys, err := system.Open(a.Root)
	if err != nil {
		return err
	}
	defer sys.Close()
	if err = lockBehind(ctx, sys); err == nil {
		_, err = prune(ctx, sys, f)
	}
	var locked *system.LockedError
	if errors.As(err, &locked) {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// lockBehind waits a little for the command that started us to end.
func lockBehind(ctx context.Context, sys *system.System) error {
	const tries, pause = 50, 100 * time.Millisecond
	for i := 0; ; i++ {
		err := sys.Lock(os.Args)
		var locked *system.LockedError
		if !errors.As(err, &locked) || i == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
