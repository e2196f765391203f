package recipe

import (
	"os"
	stdpath "path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// baseAccounts are the users and groups of the package filesystem, which every
// system has.
var baseAccounts = []string{
	"root", "daemon", "nobody", "sys", "adm", "tty", "disk", "wheel", "kmem", "dialout", "cdrom", "audio", "utmp", "video", "users", "input", "kvm",
}

var (
	sysctlKey    = regexp.MustCompile(`^[A-Za-z0-9_*?-]+([./][A-Za-z0-9_*?:@-]+)+$`)
	tmpfilesType = regexp.MustCompile(`^[fwdDevqQpLcbCxXrRzZtThHaA][+!=~^$-]*$`)
	tmpfilesMode = regexp.MustCompile(`^[~:]*[0-7]{3,4}$`)
	unitName     = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+@?\.[a-z]+$`)
)

// AutoKinds are the kinds of needs and capabilities that no-auto can name.
var AutoKinds = []string{"soname", "symver", "cmd", "pkgconfig", "interpreter", "python", "perl", "kmod"}

// validateSystem checks what a package asks of the system it is installed on.
func (r *Recipe) validateSystem(pkg *Package, at path, p *problems) {
	for i, u := range pkg.Users {
		r.validateUser(&u, at.with("users", i), p)
	}
	for i, g := range pkg.Groups {
		here := at.with("groups", i)
		checkAccount(here.with("name"), g.Name, p)
		checkID(here.with("id"), g.ID, p)
	}
	for i, line := range pkg.Tmpfiles {
		checkTmpfiles(at.with("tmpfiles", i), line, p)
	}
	for key, value := range pkg.Sysctl {
		if !sysctlKey.MatchString(key) {
			p.add(at.with("sysctl", key), "%q is not the name of a kernel setting, such as net.ipv4.ip_forward", key)
		}
		if value == "" || strings.ContainsAny(value, "\n\r\x00") {
			p.add(at.with("sysctl", key), "%s has no value of one line", key)
		}
	}
	for i := range pkg.Units {
		r.validateUnit(&pkg.Units[i], at.with("units", i), p)
	}
	for i, kind := range pkg.NoAuto {
		if !slices.Contains(AutoKinds, kind) {
			p.add(at.with("no-auto", i), "%q is none of %s", kind, strings.Join(AutoKinds, ", "))
		}
	}
	for i, m := range pkg.Modes {
		here := at.with("modes", i)
		r.checkKnown(here, m.Owner, m.Group, p)
		if m.Caps == "" {
			continue
		}
		if _, err := ParseCaps(m.Caps); err != nil {
			p.add(here.with("caps"), "%v", err)
		}
		if m.Reason == "" {
			p.add(here, "capabilities need a reason")
		}
	}
	for i, d := range pkg.Dirs {
		r.checkKnown(at.with("dirs", i), d.Owner, d.Group, p)
	}
}

func (r *Recipe) validateUser(u *User, at path, p *problems) {
	checkAccount(at.with("name"), u.Name, p)
	checkID(at.with("id"), u.ID, p)
	if u.Group != "" {
		checkAccount(at.with("group"), u.Group, p)
	}
	for i, g := range u.Groups {
		checkAccount(at.with("groups", i), g, p)
	}
	for key, name := range map[string]string{"home": u.Home, "shell": u.Shell} {
		if name != "" && (!strings.HasPrefix(name, "/") || stdpath.Clean(name) != name || strings.ContainsAny(name, ":\"\n%\\ ")) {
			p.add(at.with(key), "%q is not a clean absolute path", name)
		}
	}
	if strings.ContainsAny(u.Comment, ":\"\n\r\\%") {
		p.add(at.with("comment"), "%q: a comment has no colon, quote, backslash, percent sign or second line", u.Comment)
	}
	r.checkKnown(at, "", u.Group, p)
}

func checkAccount(at path, name string, p *problems) {
	if !accountRE.MatchString(name) {
		p.add(at, "%q is not the name of a user or group", name)
	}
}

// checkID takes numbers of system accounts; those from 1000 on are people's.
func checkID(at path, id *int, p *problems) {
	if id != nil && (*id < 1 || *id > 999) {
		p.add(at, "%d is not from 1 to 999", *id)
	}
}

// checkKnown reports owners that no machine knows where the package is
// installed alone.
func (r *Recipe) checkKnown(at path, owner, group string, p *problems) {
	for _, c := range []struct{ key, what, name string }{{"owner", "user", owner}, {"group", "group", group}} {
		if c.name == "" || slices.Contains(baseAccounts, c.name) || r.declares(c.what, c.name) || r.Allows("account", c.name) {
			continue
		}
		p.add(at.with(c.key), "account: no package of this recipe has the %s %q; add it under users or groups, or say under lint which package has it", c.what, c.name)
	}
}

// declares reports whether a package of the recipe brings an account. A user
// brings a group of the same name unless another one is given.
func (r *Recipe) declares(what, name string) bool {
	for i := range r.Packages {
		pkg := &r.Packages[i]
		for _, u := range pkg.Users {
			if u.Name == name && (what == "user" || u.Group == "") || what == "group" && slices.Contains(u.Groups, name) {
				return true
			}
		}
		if what == "group" && slices.ContainsFunc(pkg.Groups, func(g Group) bool { return g.Name == name }) {
			return true
		}
	}
	return false
}

// checkTmpfiles checks a line as tmpfiles.d(5) has it: type, path, mode, user,
// group, age, argument.
func checkTmpfiles(at path, line string, p *problems) {
	fields := strings.Fields(line)
	for len(fields) < 5 {
		fields = append(fields, "-")
	}
	switch name := strings.Trim(fields[1], `"`); {
	case strings.ContainsAny(line, "\n\r\x00"):
		p.add(at, "%q is more than one line", line)
	case !tmpfilesType.MatchString(fields[0]):
		p.add(at, "%q: %q is no type of tmpfiles.d, such as d for a folder", line, fields[0])
	case !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "%") || stdpath.Clean(name) == "/" || slices.Contains(strings.Split(name, "/"), ".."):
		p.add(at, "%q: %q is not an absolute path", line, fields[1])
	case fields[2] != "-" && !tmpfilesMode.MatchString(fields[2]):
		p.add(at, "%q: mode %q is not octal digits", line, fields[2])
	case !isTmpfilesOwner(fields[3]) || !isTmpfilesOwner(fields[4]):
		p.add(at, "%q: %q or %q is no user and group", line, fields[3], fields[4])
	}
}

func isTmpfilesOwner(name string) bool {
	name = strings.TrimPrefix(name, ":")
	_, err := strconv.ParseUint(name, 10, 31)
	return name == "-" || err == nil || accountRE.MatchString(name)
}

// UnitName is the name of a unit that a package brings.
func (u *Unit) UnitName() string { return stdpath.Base(u.File) }

// FromRecipe says whether the unit is a file of the recipe's folder, and not
// one that the build installs.
func (u *Unit) FromRecipe() bool { return strings.Contains(u.File, "/") }

func (r *Recipe) validateUnit(u *Unit, at path, p *problems) {
	name := u.UnitName()
	if _, known := unitKinds[stdpath.Ext(name)]; !known || !unitName.MatchString(name) {
		p.add(at.with("file"), "%q is not the name of a unit, such as sshd.service", name)
		return
	}
	switch u.Preset {
	case "", "enable", "disable", "none":
	default:
		p.add(at.with("preset"), "%q is none of enable, disable, none", u.Preset)
	}
	if !u.FromRecipe() {
		return
	}
	r.checkFile(at.with("file"), u.File, p)
	data, err := os.ReadFile(stdpath.Join(r.dir, u.File))
	if err != nil {
		return // said above
	}
	if err := u.Check(data); err != nil {
		p.add(at.with("file"), "%v", err)
	}
}
