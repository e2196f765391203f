package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"ashlar/installer"
	"ashlar/pkgtool/fault"

	tea "charm.land/bubbletea/v2"
	"charm.land/huh/v2"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Terminal is where the questions are asked.
type Terminal struct {
	In    io.Reader
	Out   io.Writer
	Plain bool // line by line
}

// NeedsPlain says whether a terminal cannot show forms: it is none, it is a dumb
// one, or it does not say how large it is, as serial lines do not.
func NeedsPlain(in io.Reader, out io.Writer, kind string) bool {
	from, isFile := in.(*os.File)
	to, areFiles := out.(*os.File)
	if !isFile || !areFiles || !term.IsTerminal(int(from.Fd())) || kind == "" || kind == "dumb" {
		return true
	}
	size, err := unix.IoctlGetWinsize(int(to.Fd()), unix.TIOCGWINSZ)
	return err != nil || size.Col < 40 || size.Row < 15
}

// ErrAborted is the error when the person left.
var ErrAborted = errors.New("left without an answer; nothing was changed")

// Ask asks, and returns the answers and what to do with them. It fails with
// [ErrAborted] when the person leaves, of class fault.Interrupted.
func Ask(ctx context.Context, t Terminal, f Facts) (*installer.Answers, Decision, error) {
	c := newChoices(f)
	if len(c.usable()) == 0 {
		return nil, Quit, fault.Mark(errors.New("the machine has no disk that could be installed on"), fault.Failed, "pkgtool installer disks says what each one is used for")
	}
	var err error
	if t.Plain {
		err = askLines(ctx, t, c)
	} else {
		err = askForms(ctx, t, c)
	}
	if err != nil {
		return nil, Quit, err
	}
	if c.decision == Quit {
		return nil, Quit, nil
	}
	a, err := c.answers()
	return a, c.decision, err
}

// askForms shows the screens as one form: going back is possible until the end.
func askForms(ctx context.Context, t Terminal, c *choices) error {
	var groups []*huh.Group
	all := c.screens(style{secret: true})
	for i, s := range all {
		var fields []huh.Field
		if s.text != nil {
			fields = append(fields, s.note())
		}
		for _, field := range s.items {
			fields = append(fields, field())
		}
		g := huh.NewGroup(fields...).Title(fmt.Sprintf("%d/%d  %s", i+1, len(all), s.title)).Description(s.help)
		if show := s.show; show != nil {
			g = g.WithHideFunc(func() bool { return !show() })
		}
		groups = append(groups, g)
	}
	form := huh.NewForm(groups...).WithTheme(huh.ThemeFunc(huh.ThemeBase16)).WithShowHelp(true).
		WithProgramOptions(tea.WithInput(t.In), tea.WithOutput(t.Out))
	err := form.RunWithContext(ctx)
	if errors.Is(err, huh.ErrUserAborted) || ctx.Err() != nil {
		return fault.Mark(ErrAborted, fault.Interrupted, "")
	}
	return err
}
