package boot

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

// Expect waits for a line of the console that matches the pattern, after the
// line the last call took, and returns the match with its groups. Only whole
// lines count: half a word never matches.
//
// It fails with a [*Failure] when the total or the idle limit is over, when
// QEMU ends, and at once on a fatal line.
func (v *VM) Expect(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	return v.wait(ctx, fmt.Sprintf("a line with %q", pattern), func() []string {
		for ; v.next < len(v.lines); v.next++ {
			if m := pattern.FindStringSubmatch(v.lines[v.next]); m != nil {
				v.next++
				return m
			}
		}
		return nil
	})
}

// ExpectPrompt waits until the unfinished line at the end of the console
// matches the pattern, with or without the blanks at its end: a prompt.
func (v *VM) ExpectPrompt(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	return v.wait(ctx, fmt.Sprintf("a prompt with %q", pattern), func() []string {
		m := pattern.FindStringSubmatch(v.screen.partial())
		if m == nil {
			m = pattern.FindStringSubmatch(v.screen.unfinished())
		}
		if m != nil {
			v.next = len(v.lines)
		}
		return m
	})
}

// ExpectText waits for a line, finished or not, that matches the pattern: a prompt
// behind which the kernel may have written something.
func (v *VM) ExpectText(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	return v.wait(ctx, fmt.Sprintf("the text %q", pattern), func() []string {
		for ; v.next < len(v.lines); v.next++ {
			if m := pattern.FindStringSubmatch(v.lines[v.next]); m != nil {
				v.next++
				return m
			}
		}
		return pattern.FindStringSubmatch(v.screen.unfinished())
	})
}

// wait calls look with the lock held until it finds something.
func (v *VM) wait(ctx context.Context, what string, look func() []string) ([]string, error) {
	v.mu.Lock()
	v.lastOutput = time.Now() // silence counts from now on
	v.mu.Unlock()
	for {
		v.mu.Lock()
		found := look()
		fatal, ended, changed := v.fatal, v.ended, v.changed
		silent := time.Since(v.lastOutput)
		v.mu.Unlock()
		switch {
		case found != nil:
			return found, nil
		case fatal != "":
			return nil, v.fail(fmt.Errorf("waiting for %s: %s", what, fatal))
		case ended:
			return nil, v.fail(fmt.Errorf("waiting for %s: QEMU has ended: %s", what, v.qemuWords()))
		}
		var idle <-chan time.Time
		if limit := v.options.Idle; limit > 0 {
			if silent >= limit {
				return nil, v.fail(fmt.Errorf("waiting for %s: nothing on the console for %v", what, limit))
			}
			idle = time.After(limit - silent)
		}
		select {
		case <-changed:
		case <-idle:
		case <-v.done:
			return nil, v.fail(fmt.Errorf("waiting for %s: %w", what, v.cause()))
		case <-ctx.Done():
			return nil, v.fail(fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx)))
		}
	}
}
