package recipe

import (
	stdpath "path"
	"slices"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/version"

	"github.com/bmatcuk/doublestar/v4"
)

// Splits are the standard sets that a package can claim.
var Splits = []string{"dev", "doc", "static", "locale", "debug", "none"}

// movedFolders are symbolic links on an Ashlar system; files go to where they
// lead.
var movedFolders = map[string]string{
	"/bin": "/usr/bin", "/sbin": "/usr/bin", "/usr/sbin": "/usr/bin",
	"/lib": "/usr/lib", "/lib64": "/usr/lib", "/usr/lib64": "/usr/lib",
}

func (r *Recipe) validatePackage(pkg *Package, at path, p *problems) {
	if err := version.CheckName(pkg.Name); err != nil {
		p.add(at.with("name"), "%v", err)
	}
	if pkg.Summary == "" {
		pkg.Summary = r.Summary
	}
	if pkg.License == "" {
		pkg.License = r.License
	}
	if pkg.Description == "" {
		pkg.Description = r.Description
	}
	if pkg.Arch == "" && slices.Equal(r.Arches, []string{"noarch"}) {
		pkg.Arch = "noarch"
	}
	if pkg.Arch != "" && pkg.Arch != "noarch" {
		p.add(at.with("arch"), "%q: a package's arch is noarch or left out", pkg.Arch)
	}
	if pkg.Split != "" && !slices.Contains(Splits, pkg.Split) {
		p.add(at.with("split"), "%q is none of %s", pkg.Split, strings.Join(Splits, ", "))
	}
	for key, globs := range map[string][]string{"files": pkg.Files, "config": pkg.Config} {
		for i, g := range globs {
			checkGlob(at.with(key, i), g, p)
		}
	}
	for i, g := range pkg.Config {
		if !strings.HasPrefix(g, "/etc/") {
			p.add(at.with("config", i), "%q: configuration files are below /etc", g)
		}
	}
	for key, list := range map[string][]string{
		"depends": pkg.Depends, "recommends": pkg.Recommends, "conflicts": pkg.Conflicts, "replaces": pkg.Replaces,
		"supplements": pkg.Supplements,
	} {
		for i, text := range list {
			if _, err := version.ParseDependency(text); err != nil {
				p.add(at.with(key, i), "%v", err)
			}
		}
	}
	for i, text := range pkg.Provides {
		if _, err := version.ParseProvide(text); err != nil {
			p.add(at.with("provides", i), "%v", err)
		}
	}
	for i, m := range pkg.Modes {
		here := at.with("modes", i)
		checkGlob(here.with("path"), m.Path, p)
		checkOwner(here, m.Owner, m.Group, m.Mode, p)
		if m.Mode != "" && m.Mode[0] != '0' && m.Mode[0] != '1' && m.Reason == "" {
			p.add(here, "a setuid or setgid file needs a reason")
		}
	}
	r.validateSystem(pkg, at, p)
	validateTriggers(pkg.Triggers, at, p)
	for i, d := range pkg.Dirs {
		here := at.with("dirs", i)
		checkPath(here.with("path"), d.Path, p)
		checkOwner(here, d.Owner, d.Group, d.Mode, p)
	}
	for i, e := range pkg.Extra {
		here := at.with("extra", i)
		r.checkFile(here.with("from"), e.From, p)
		checkPath(here.with("to"), e.To, p)
		checkOwner(here, "", "", e.Mode, p)
	}
}

func validateTriggers(triggers []Trigger, at path, p *problems) {
	names := map[string]bool{}
	for i, t := range triggers {
		here := at.with("triggers", i)
		if names[t.Name] {
			p.add(here.with("name"), "trigger %q stands twice", t.Name)
		}
		names[t.Name] = true
		for j, g := range t.Watch {
			checkGlob(here.with("watch", j), g, p)
		}
		trigger := t.Manifest()
		if err := trigger.Check(); err != nil {
			p.add(here, "%v", err)
		}
	}
}

// Manifest is the trigger as a package's manifest holds it.
func (t *Trigger) Manifest() pkgfile.Trigger {
	out := pkgfile.Trigger{Name: t.Name, Run: t.Run}
	for _, glob := range t.Watch {
		out.Watch = append(out.Watch, strings.TrimPrefix(glob, "/"))
	}
	slices.Sort(out.Watch)
	out.Watch = slices.Compact(out.Watch)
	return out
}

func checkGlob(at path, glob string, p *problems) {
	switch {
	case !strings.HasPrefix(glob, "/"):
		p.add(at, "%q does not begin with /", glob)
	case !doublestar.ValidatePattern(glob):
		p.add(at, "%q is not a glob", glob)
	default:
		checkMoved(at, glob, p)
	}
}

func checkPath(at path, name string, p *problems) {
	if !strings.HasPrefix(name, "/") || name == "/" || stdpath.Clean(name) != name {
		p.add(at, "%q is not a clean absolute path", name)
		return
	}
	checkMoved(at, name, p)
}

// checkMoved reports names below a folder that is a symbolic link. The link
// itself is the business of the package that ships it.
func checkMoved(at path, name string, p *problems) {
	for link, target := range movedFolders {
		if strings.HasPrefix(name, link+"/") {
			p.add(at, "%q: %s is a symbolic link; write %s", name, link, target+strings.TrimPrefix(name, link))
		}
	}
}

func checkOwner(at path, owner, group, mode string, p *problems) {
	for key, account := range map[string]string{"owner": owner, "group": group} {
		if account != "" && !accountRE.MatchString(account) {
			p.add(at.with(key), "%q is not the name of a user or group", account)
		}
	}
	if mode != "" && !octalMode.MatchString(mode) {
		p.add(at.with("mode"), "%q is not four octal digits such as '0644'", mode)
	}
}
