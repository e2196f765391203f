package cli

import (
	"fmt"
	"io"
	"os"

	"ashlar/pkgtool/build/seed"
	"ashlar/pkgtool/build/source"

	"golang.org/x/term"
)

// terminal reports whether w is a terminal where a line may be drawn over.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// transfer shows how far the fetch of one file is: a moving line on a
// terminal, one line at the end elsewhere.
func (a *App) transfer() source.Progress {
	if a.Quiet {
		return nil
	}
	moving := terminal(a.Err)
	return func(name string, done, total int64) {
		switch {
		case done == total && moving:
			fmt.Fprintf(a.Err, "\r\033[Kfetched %s, %s\n", name, mebibytes(total))
		case done == total:
			fmt.Fprintf(a.Err, "fetched %s, %s\n", name, mebibytes(total))
		case moving && total > 0:
			fmt.Fprintf(a.Err, "\r\033[K%s: %d %%", name, 100*done/total)
		case moving:
			fmt.Fprintf(a.Err, "\r\033[K%s: %s", name, mebibytes(done))
		}
	}
}

// layer shows how far a seed layer is.
func (a *App) layer() seed.Progress {
	if a.Quiet {
		return nil
	}
	moving := terminal(a.Err)
	return func(s seed.Status) {
		complete := s.Unpacked == s.Packages
		if !moving && !complete {
			return
		}
		start, end := "", "\n"
		if moving {
			start = "\r\033[K"
			if !complete {
				end = ""
			}
		}
		fmt.Fprintf(a.Err, "%sseed layer %s: %d of %d packages, %s of %s%s", start, s.Layer, s.Unpacked, s.Packages,
			mebibytes(s.Fetched), mebibytes(s.TotalBytes), end)
	}
}
