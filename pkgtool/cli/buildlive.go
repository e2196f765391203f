package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"ashlar/pkgtool/build"

	"golang.org/x/term"
)

// redraw is how often moving lines are drawn when nothing happens.
const redraw = time.Second

// liveBuild draws, below what is told for good, a line for each build at work
// and one for the whole run.
type liveBuild struct {
	out   io.Writer
	width func() int
	now   func() time.Time

	mu      sync.Mutex
	start   time.Time
	drawn   int // lines that stand on the screen
	running map[string]*runningBuild
	done    int64
	total   int64
	left    time.Duration
	asOf    time.Time // when left was told
	stop    chan struct{}
	ended   sync.WaitGroup
}

func newLiveBuild(out *os.File) *liveBuild {
	l := &liveBuild{out: out, now: time.Now, running: map[string]*runningBuild{}, stop: make(chan struct{})}
	l.width = func() int {
		if width, _, err := term.GetSize(int(out.Fd())); err == nil && width > 20 {
			return width
		}
		return 80
	}
	l.start = l.now()
	l.ended.Go(func() {
		tick := time.NewTicker(redraw)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				l.mu.Lock()
				l.draw()
				l.mu.Unlock()
			}
		}
	})
	return l
}

// close takes the moving lines away.
func (l *liveBuild) close() {
	close(l.stop)
	l.ended.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
}

// above lets say print for good, with the moving lines below it.
func (l *liveBuild) above(say func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
	say()
	l.draw()
}

// follow takes an event into the lines.
func (l *liveBuild) follow(ev build.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.running[ev.Recipe]
	switch ev.Kind {
	case build.Started:
		l.running[ev.Recipe] = &runningBuild{since: l.now(), phase: "starting"}
	case build.Phase, build.Resumed:
		if b != nil {
			b.phase = ev.Text
		}
	case build.Packaging:
		if b == nil {
			b = &runningBuild{since: l.now()}
			l.running[ev.Recipe] = b
		}
		b.phase = "packaging"
	case build.Testing:
		if b == nil {
			b = &runningBuild{since: l.now()}
			l.running[ev.Recipe] = b
		}
		b.phase = "test " + ev.Text
	case build.Fetching:
		if b != nil && ev.Done < ev.Total {
			b.phase = fmt.Sprintf("fetching, %d of %d MB", ev.Done/1e6, ev.Total/1e6)
		}
	case build.Done, build.Failed, build.Cached, build.Stopped:
		delete(l.running, ev.Recipe)
	case build.Progress:
		l.done, l.total = ev.Done, ev.Total
		l.left, l.asOf = time.Duration(ev.Seconds*float64(time.Second)), l.now()
	}
}

func (l *liveBuild) wipe() {
	if l.drawn > 0 {
		fmt.Fprintf(l.out, "\r\033[%dA\033[J", l.drawn)
		l.drawn = 0
	}
}

func (l *liveBuild) draw() {
	l.wipe()
	if len(l.running) == 0 {
		return
	}
	var lines []string
	names := slices.SortedFunc(maps.Keys(l.running), func(a, b string) int { return l.running[a].since.Compare(l.running[b].since) })
	for _, name := range names {
		b := l.running[name]
		lines = append(lines, fmt.Sprintf("  %-20s %-28s %8s", name, b.phase, clock(l.now().Sub(b.since))))
	}
	status := fmt.Sprintf("%d of %d recipes, %s so far", l.done, l.total, clock(l.now().Sub(l.start)))
	if left := l.left - l.now().Sub(l.asOf); l.total > 0 && left > 5*time.Second {
		status += ", about " + roughly(left) + " left"
	}
	width := l.width() - 1
	for _, line := range append(lines, status) {
		line = strings.Map(plain, line)
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width])
		}
		fmt.Fprintln(l.out, line)
		l.drawn++
	}
}

// plain keeps control characters of a recipe's words from the terminal.
func plain(r rune) rune {
	if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
		return '?'
	}
	return r
}

// clock writes a time as 1:02:03 or 2:03.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// roughly writes an estimate without pretending to know it to the second.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds())/10*10+10)
	case d < 10*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()+0.99))
	}
	return fmt.Sprintf("%d min", (int(d.Minutes())+4)/5*5)
}
