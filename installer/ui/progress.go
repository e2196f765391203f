package ui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress shows how an installation goes on: phases, and within one its share
// and the time left. On a plain terminal it writes lines, at most one in five
// seconds; else it moves one.
type Progress struct {
	mu     sync.Mutex
	out    io.Writer
	plain  bool
	now    func() time.Time
	begin  time.Time
	number int
	step   string
	since  time.Time // when the phase began
	wrote  time.Time
}

// NewProgress begins now.
func NewProgress(out io.Writer, plain bool) *Progress {
	p := &Progress{out: out, plain: plain, now: time.Now}
	p.begin = p.now()
	return p
}

// Step begins a phase.
func (p *Progress) Step(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.number, p.step, p.since, p.wrote = p.number+1, name, p.now(), time.Time{}
	fmt.Fprintf(p.out, "[%s] %d. %s\n", clock(p.since.Sub(p.begin)), p.number, name)
}

const (
	plainPause = 5 * time.Second
	pause      = 100 * time.Millisecond
	barWidth   = 24
)

// Update says how many bytes of the phase are done.
func (p *Progress) Update(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	wait := pause
	if p.plain {
		wait = plainPause
	}
	if total <= 0 || now.Sub(p.wrote) < wait && done < total || p.plain && p.wrote.IsZero() && now.Sub(p.since) < wait {
		return
	}
	p.wrote = now
	done = min(done, total)
	text := fmt.Sprintf("%3d %%", 100*done/total)
	if left, ok := remaining(now.Sub(p.since), done, total); ok {
		text += ", " + clock(left) + " left"
	}
	if p.plain {
		fmt.Fprintf(p.out, "[%s]    %s\n", clock(now.Sub(p.begin)), text)
		return
	}
	full := int(barWidth * done / total)
	fmt.Fprintf(p.out, "\r\033[K           %s%s %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), text)
	if done == total {
		p.clear()
	}
}

// End takes the moving line away.
func (p *Progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *Progress) clear() {
	if !p.plain && !p.wrote.IsZero() {
		fmt.Fprint(p.out, "\r\033[K")
		p.wrote = time.Time{}
	}
}

// remaining guesses the time left from the speed so far, once there is enough to
// guess from.
func remaining(spent time.Duration, done, total int64) (time.Duration, bool) {
	if done <= 0 || done >= total || spent < 2*time.Second {
		return 0, false
	}
	return time.Duration(float64(spent) * float64(total-done) / float64(done)), true
}

// clock writes a time as minutes and seconds.
func clock(d time.Duration) string {
	seconds := int(d.Round(time.Second).Seconds())
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}
