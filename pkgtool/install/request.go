package install

import (
	"fmt"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/version"
)

// Arch is the architecture that packages are chosen for.
const Arch = "x86_64"

// Request is what a person asks for. An element of Install that ends in
// .ashlar is a package file, by its path or URL; others are dependencies:
// "nginx", "nginx >=1.2", "nginx@1.2.3-1", "soname(libz.so.1)".
type Request struct {
	Install    []string
	Remove     []string // NAME, or NAME@VERSION for one build of several
	Upgrade    []string // names of installed packages
	UpgradeAll bool
	Downgrade  []string // NAME, to the build before the installed one, or NAME@VERSION
	Reinstall  []string // names: every file of theirs as it was packaged
	Autoremove bool     // also remove what came for others' sake and is needed no more
	World      *World   // make the system consist of this, and of what it needs
	Lock       *Lock    // make the system consist of exactly this
	Explicit   []string // names of installed packages that somebody wants for themselves
	Automatic  []string // names of installed packages that are there for others' sake

	NoRecommends      bool // add only what is needed
	NoTriggers        bool // run no triggers
	AllowVendorChange bool // let an upgrade take another vendor's build

	SolveTimeout time.Duration // for finding the packages; 0 means 2 minutes

	SaveCase string // folder to write the solver's input to; "" does not
	Title    string // for the history; "" words the request
}

// needsOffers reports whether the request can only be fulfilled with packages
// from repositories.
func (r *Request) needsOffers() bool {
	return len(r.Install)+len(r.Upgrade)+len(r.Downgrade)+len(r.Reinstall) > 0 || r.UpgradeAll || r.World != nil || r.Lock != nil
}

// reason is what the history says.
func (r *Request) reason() string {
	if r.Title != "" {
		return r.Title
	}
	var parts []string
	list := func(verb string, names []string) {
		if len(names) > 0 {
			parts = append(parts, verb+" "+strings.Join(names, ", "))
		}
	}
	list("install", r.Install)
	list("remove", r.Remove)
	list("upgrade", r.Upgrade)
	if r.UpgradeAll {
		parts = append(parts, "upgrade everything")
	}
	list("downgrade", r.Downgrade)
	list("reinstall", r.Reinstall)
	if r.Autoremove {
		parts = append(parts, "remove what is needed no more")
	}
	if r.World != nil {
		parts = append(parts, "sync with a world file")
	}
	if r.Lock != nil {
		parts = append(parts, "sync with a lock file")
	}
	list("mark as asked for:", r.Explicit)
	list("mark as automatic:", r.Automatic)
	return strings.Join(parts, "; ")
}

// parseWish reads a dependency, or name@constraint: name@1.2.3-1 is one build,
// name@^1.2 any that fits. Errors
// are of class fault.Usage.
func parseWish(text string) (version.Dependency, error) {
	if name, pin, found := strings.Cut(text, "@"); found && !version.IsCapability(text) {
		text = name + " " + pin
	}
	d, err := version.ParseDependency(text)
	return d, fault.Mark(err, fault.Usage, "")
}

// parseBuild reads "name" or "name@version".
func parseBuild(text string) (name string, v version.Version, pinned bool, err error) {
	name, pin, pinned := strings.Cut(text, "@")
	if err = version.CheckName(name); err == nil && pinned {
		v, err = version.Parse(pin)
	}
	if err != nil {
		err = fault.Mark(fmt.Errorf("%q: %w", text, err), fault.Usage, "name a package as NAME or NAME@VERSION")
	}
	return name, v, pinned, err
}
