package query

import (
	"context"
	"fmt"
	"os"
	"time"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"

	"golang.org/x/sys/unix"
)

// State is how a check came out.
type State string

const (
	Good    State = "good"
	Warning State = "warning" // works, and somebody should look at it
	Bad     State = "bad"
)

// Check is one thing that Doctor looked at.
type Check struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"` // a command, or a sentence
}

// DoctorOptions say what to look at.
type DoctorOptions struct {
	Root   string
	Hashes bool      // read every file instead of looking at its type, size and mode
	Now    time.Time // zero means now
}

// Doctor looks for what is wrong with a system, or soon will be. It changes
// nothing. The error is for what kept it from looking.
func Doctor(ctx context.Context, sys *system.System, opts DoctorOptions) ([]Check, error) {
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	d := &doctor{sys: sys, opts: opts}
	for _, look := range []func(context.Context) error{d.transaction, d.dependencies, d.files, d.configuration, d.space, d.clock, d.repositories} {
		if err := look(ctx); err != nil {
			return nil, err
		}
	}
	return d.checks, nil
}

type doctor struct {
	sys    *system.System
	opts   DoctorOptions
	checks []Check
}

func (d *doctor) say(name string, state State, remedy, format string, args ...any) {
	d.checks = append(d.checks, Check{Name: name, State: state, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (d *doctor) transaction(context.Context) error {
	g := d.sys.Generation()
	switch recovered := d.sys.Recovered(); {
	case recovered != "":
		d.say("transaction", Warning, "", "%s", recovered)
	case g.Number == 0:
		d.say("transaction", Warning, "", "nothing has been installed here by pkgtool")
	default:
		d.say("transaction", Good, "", "generation %d of %s, %d packages", g.Number, g.Time.Format(time.DateOnly), len(g.Packages))
	}
	return nil
}

func (d *doctor) dependencies(context.Context) error {
	g, err := Installed(d.sys.Installed())
	if err != nil {
		return err
	}
	before := len(d.checks)
	for _, n := range g.Nodes {
		for _, missing := range g.Missing(n) {
			d.say("dependencies", Bad, "pkgtool install '"+missing.String()+"'", "%s requires %s, which nothing installed provides", n.Name, missing)
		}
		for _, c := range g.Conflicts(n) {
			d.say("dependencies", Bad, "pkgtool remove "+c.To.Name, "%s conflicts with %s", n.Name, c.To.ID())
		}
	}
	if len(d.checks) == before {
		d.say("dependencies", Good, "", "all requirements are met")
	}
	return nil
}

func (d *doctor) files(ctx context.Context) error {
	problems, err := d.sys.Verify(ctx, system.VerifyOptions{Quick: !d.opts.Hashes})
	if err != nil {
		return err
	}
	faults := 0
	for _, p := range problems {
		if !p.Config {
			faults++
		}
	}
	if faults == 0 {
		d.say("files", Good, "", "as they were installed")
		return nil
	}
	for _, p := range problems {
		if p.Config {
			continue
		}
		d.say("files", Bad, "pkgtool verify lists all; pkgtool verify --repair", "%d files differ from what was installed, such as /%s of %s: %s", faults, p.Path, p.Package, p.What)
		break
	}
	return nil
}

func (d *doctor) configuration(context.Context) error {
	files, err := d.sys.ConfigFiles()
	if err != nil {
		return err
	}
	pending := 0
	for _, f := range files {
		if f.State == system.ConfigPending {
			pending++
		}
	}
	if pending > 0 {
		d.say("configuration", Warning, "pkgtool config list", "%d files in /etc wait for a decision", pending)
	} else {
		d.say("configuration", Good, "", "no file in /etc waits for a decision")
	}
	return nil
}

// Below these shares of a file system, doctor warns.
const (
	lowSpace  = 0.05
	lowInodes = 0.05
)

func (d *doctor) space(context.Context) error {
	var st unix.Statfs_t
	if err := unix.Statfs(d.opts.Root, &st); err != nil {
		return &os.PathError{Op: "statfs", Path: d.opts.Root, Err: err}
	}
	free := int64(st.Bavail) * st.Bsize
	switch {
	case st.Blocks > 0 && float64(st.Bavail) < lowSpace*float64(st.Blocks):
		d.say("space", Warning, "pkgtool clean", "%d MiB are free, less than %.0f %% of the file system", free>>20, lowSpace*100)
	case st.Files > 0 && float64(st.Ffree) < lowInodes*float64(st.Files):
		d.say("space", Warning, "pkgtool clean", "%d inodes are free, less than %.0f %% of the file system", st.Ffree, lowInodes*100)
	default:
		d.say("space", Good, "", "%d MiB are free", free>>20)
	}
	return nil
}

func (d *doctor) clock(context.Context) error {
	if at := d.sys.Generation().Time; d.opts.Now.Before(at.Add(-time.Hour)) {
		d.say("clock", Bad, "set the clock", "it says %s, but the last change was made on %s", d.opts.Now.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	} else {
		d.say("clock", Good, "", "not before the last change")
	}
	return nil
}

// soon is how long before its metadata expires a repository is warned of.
const soon = 72 * time.Hour

func (d *doctor) repositories(ctx context.Context) error {
	dirs := client.DirsOf(d.opts.Root)
	configs, err := client.LoadConfigs(dirs.Config)
	if err != nil {
		d.say("repositories", Bad, "", "%v", err)
		return nil
	}
	on := 0
	for _, c := range configs {
		if !c.On() {
			continue
		}
		on++
		name := "repository " + c.Name
		one, err := client.Open([]client.Config{c}, dirs, client.Options{Now: func() time.Time { return d.opts.Now }})
		var statuses []client.Status
		if err == nil {
			statuses, err = one.Load(ctx)
		}
		if err != nil {
			remedy := "pkgtool refresh"
			if hints := fault.Hints(err); len(hints) > 0 {
				remedy = hints[0]
			}
			d.say(name, Bad, remedy, "%v", err)
			continue
		}
		for _, s := range statuses {
			if left := s.Expires.Sub(d.opts.Now); left < soon {
				d.say(name, Warning, "pkgtool refresh", "what is known of it expires on %s", s.Expires.Format(time.RFC3339))
			} else {
				d.say(name, Good, "", "%d packages, good until %s", s.Packages, s.Expires.Format(time.DateOnly))
			}
		}
		if disowned := FindDisowned(d.sys.Installed(), one.Packagers, d.opts.Now); len(disowned) > 0 {
			d.say(name, Warning, "pkgtool audit", "%d installed packages are by packagers whom it no longer allows, such as %s", len(disowned), disowned[0].Package)
		}
	}
	if on == 0 {
		d.say("repositories", Warning, "pkgtool remote add", "no repository is enabled")
	}
	return nil
}
