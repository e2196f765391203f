package ui

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"ashlar/pkgtool/fault"

	"charm.land/huh/v2"
	"golang.org/x/term"
)

// noStyle shows text as it is.
var noStyle = huh.ThemeFunc(func(bool) *huh.Styles { return &huh.Styles{} })

// askLines asks the questions one after the other. A line is taken only when its
// question has been asked, so a script may write ahead.
func askLines(ctx context.Context, t Terminal, c *choices) error {
	in := &lines{from: bufio.NewReader(t.In), ended: make(chan struct{})}
	s := style{plain: true}
	var reader io.Reader = in
	if f, ok := t.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		// Passwords are read from the terminal itself, without an echo.
		state, err := term.GetState(int(f.Fd()))
		if err == nil {
			defer term.Restore(int(f.Fd()), state)
		}
		s.secret, reader = true, &terminalLines{in, f}
		in.from = bufio.NewReaderSize(f, 16)
	}
	done := make(chan error, 1)
	// Fields cannot be interrupted while they wait for a line; this goroutine is
	// then left behind, and ends with the program.
	go func() { done <- askAll(t.Out, reader, c, s) }()
	select {
	case err := <-done:
		return err
	case <-in.ended:
	case <-ctx.Done():
	}
	fmt.Fprintln(t.Out)
	return fault.Mark(ErrAborted, fault.Interrupted, "")
}

func askAll(out io.Writer, in io.Reader, c *choices, s style) error {
	all := c.screens(s)
	for i, page := range all {
		if page.show != nil && !page.show() {
			continue
		}
		fmt.Fprintf(out, "\n%d/%d  %s\n", i+1, len(all), page.title)
		if page.help != "" {
			fmt.Fprintln(out, page.help)
		}
		if page.text != nil {
			fmt.Fprintln(out, page.text())
		}
		if err := askPage(out, in, page); err != nil {
			return fmt.Errorf("ask for %s: %w", page.title, err)
		}
	}
	return nil
}

func askPage(out io.Writer, in io.Reader, page screen) error {
	if t, ok := in.(*terminalLines); ok && page.secret {
		show, err := HideInput(t.terminal)
		if err != nil {
			return err
		}
		defer show()
	}
	for _, item := range page.items {
		if err := item().WithTheme(noStyle).RunAccessible(out, in); err != nil {
			return err
		}
	}
	return nil
}

// lines gives one line for each Read, and blocks for ever at the end.
type lines struct {
	from  *bufio.Reader
	rest  []byte
	ended chan struct{}
}

func (l *lines) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		line, err := l.from.ReadBytes('\n')
		if err != nil && len(line) == 0 {
			close(l.ended)
			select {}
		}
		l.rest = line
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// terminalLines are lines of a terminal.
type terminalLines struct {
	*lines
	terminal *os.File
}

// Fd is the terminal, for reading without an echo.
func (t *terminalLines) Fd() uintptr { return t.terminal.Fd() }
