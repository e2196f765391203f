// Package autoupdate decides what an update that nobody watches may do.
//
// In: the administrator's policy, the time, what a plan would do, the generation
// that did not start. Out: what to do. Never: change anything.
package autoupdate

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
)

// PolicyPath is the policy, below the root of a system.
const PolicyPath = "etc/pkgtool/autoupdate.yaml"

// What an automatic update does with what is new.
const (
	Check    = "check"    // tell
	Download = "download" // fetch into the cache
	Stage    = "stage"    // fetch and prepare; the next start of the machine makes the change
	Apply    = "apply"    // make the change
)

// When an automatic update restarts the machine.
const (
	Never  = "never"
	Needed = "needed" // when something runs that only a restart replaces, or something is staged
)

// Policy is the file.
type Policy struct {
	Schema int      `yaml:"schema" jsonschema_description:"1."`
	Action string   `yaml:"action,omitempty" jsonschema:"enum=check,enum=download,enum=stage,enum=apply" jsonschema_description:"What is done with what is new. Default: apply."`
	Window string   `yaml:"window,omitempty" jsonschema_description:"When changes and restarts may be made, in local time, as 22:00-04:30. Outside of it what is new is only fetched. Default: always."`
	Days   []string `yaml:"days,omitempty" jsonschema:"enum=mon,enum=tue,enum=wed,enum=thu,enum=fri,enum=sat,enum=sun" jsonschema_description:"Days on which the window begins. Default: all."`
	Reboot string   `yaml:"reboot,omitempty" jsonschema:"enum=never,enum=needed" jsonschema_description:"Whether the machine is restarted when that is needed. Default: never."`

	from, to int // minutes of the day
}

// Schema is the JSON Schema of the policy.
func Schema() ([]byte, error) {
	return strictyaml.Schema(&Policy{}, "Ashlar automatic updates")
}

// Read reads the policy of the system below root; without a file it is the
// default: apply, at any time, and no restart.
func Read(root string) (*Policy, error) {
	p := &Policy{}
	path := filepath.Join(root, PolicyPath)
	err := strictyaml.ReadFile(path, p)
	if errors.Is(err, fs.ErrNotExist) {
		p.Schema, err = 1, nil
	}
	if err != nil {
		return nil, err
	}
	if err := p.complete(); err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Usage, "pkgtool autoupdate --help shows an example")
	}
	return p, nil
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (p *Policy) complete() error {
	if p.Schema != 1 {
		return fmt.Errorf("schema is %d; this pkgtool reads 1", p.Schema)
	}
	for _, c := range []struct {
		key     string
		value   *string
		allowed []string
	}{{"action", &p.Action, []string{Apply, Check, Download, Stage}}, {"reboot", &p.Reboot, []string{Never, Needed}}} {
		if *c.value == "" {
			*c.value = c.allowed[0]
		}
		if !slices.Contains(c.allowed, *c.value) {
			return fmt.Errorf("%s is %q; it is one of %s", c.key, *c.value, strings.Join(c.allowed, ", "))
		}
	}
	for _, day := range p.Days {
		if !slices.Contains(weekdays, day) {
			return fmt.Errorf("days has %q; days are mon, tue, wed, thu, fri, sat, sun", day)
		}
	}
	if p.Window == "" {
		return nil
	}
	from, to, ok := strings.Cut(p.Window, "-")
	begin, err1 := time.Parse("15:04", from)
	end, err2 := time.Parse("15:04", to)
	if !ok || err1 != nil || err2 != nil || begin.Equal(end) {
		return fmt.Errorf("window is %q; it is two different times, such as 22:00-04:30", p.Window)
	}
	p.from, p.to = minutes(begin), minutes(end)
	return nil
}

func minutes(t time.Time) int { return t.Hour()*60 + t.Minute() }

// Open reports whether changes and restarts may be made at a time, which is
// taken as local. A window that goes past midnight belongs to the day on which it
// began.
func (p *Policy) Open(now time.Time) bool {
	at, day := minutes(now), now.Weekday()
	switch {
	case p.Window == "":
	case p.from < p.to:
		if at < p.from || at >= p.to {
			return false
		}
	case at >= p.from:
	case at < p.to:
		day = (day + 6) % 7
	default:
		return false
	}
	return len(p.Days) == 0 || slices.Contains(p.Days, weekdays[day])
}
