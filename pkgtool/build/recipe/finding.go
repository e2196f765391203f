package recipe

import "github.com/bmatcuk/doublestar/v4"

// Finding is one kind of thing that is wrong with built files. A recipe can
// accept it, with a reason, under lint.allow.
type Finding struct {
	ID     string `json:"id"`
	Rule   string `json:"rule"`   // what holds for the files of a package
	Remedy string `json:"remedy"` // what to do about a file that breaks it
}

// Findings are all kinds that packing looks for, by id.
var Findings = []Finding{
	{"account", "owners of files are accounts that a package of the recipe brings", "add the account under users or groups"},
	{"broken-symlink", "links lead to something that a package has", "install what it leads to, or remove the link"},
	{"build-path", "files do not name folders of the build", "have it written with the installed path, or remove the text"},
	{"empty", "a package has files or needs something", "give it files or depends, or leave it out"},
	{"etc-file", "regular files in /etc are configuration, which upgrades merge", "name it under config, or install it below /usr"},
	{"executable-stack", "no program or library wants to execute its stack", "mark hand-written assembly with .note.GNU-stack"},
	{"hardening", "programs and libraries are built with the distribution's flags", "pass CFLAGS and LDFLAGS on to the compiler"},
	{"hardlink", "names of one file are in one package", "put all its names into one package, or make a symbolic link"},
	{"interpreter", "programs and scripts are run by something that a package installs", "name a program in /usr/bin on the first line of a script"},
	{"lto", "static libraries hold machine code", "build it with -ffat-lto-objects or without -flto"},
	{"private", "files can be read by everybody unless the recipe says otherwise", "say under modes who may read it"},
	{"rpath", "libraries lie where the loader looks, or beside the program ($ORIGIN)", "build without -rpath"},
	{"setuid", "what runs with the rights of its owner is declared", "give it a mode and a reason under modes"},
	{"soname", "every library that a program needs is in a package of its build root", "add the package with it to build.libs"},
	{"symver", "every version of symbols that a program needs is in its library", "build it with the libraries of packages in build.libs only"},
	{"text-relocation", "code is shared and read-only", "compile everything in it with -fPIC"},
	{"unit", "programs that a unit starts are in a package", "install the program, or mend the unit"},
	{"world-writable", "not everybody can change what is installed", "give it a mode without write permission for others"},
}

// FindingOf returns the kind with an id, or nil.
func FindingOf(id string) *Finding {
	for i := range Findings {
		if Findings[i].ID == id {
			return &Findings[i]
		}
	}
	return nil
}

// Allows reports whether lint.allow accepts a finding for a file or name.
func (r *Recipe) Allows(id, name string) bool {
	for _, a := range r.Lint.Allow {
		if a.ID == id && (a.Path == "" || a.Path == name || doublestar.MatchUnvalidated(a.Path, name)) {
			return true
		}
	}
	return false
}

// findingIDs are the ids of all kinds.
func findingIDs() []string {
	var ids []string
	for _, f := range Findings {
		ids = append(ids, f.ID)
	}
	return ids
}
