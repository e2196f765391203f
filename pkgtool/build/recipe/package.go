package recipe

import "strings"

// Package is one package a recipe makes.
type Package struct {
	Name        string    `yaml:"name" jsonschema:"pattern=^[a-z0-9][a-z0-9+._-]*$" jsonschema_description:"Unique among all recipes."`
	Summary     string    `yaml:"summary,omitempty" jsonschema_description:"Default: the recipe's summary."`
	Description string    `yaml:"description,omitempty" jsonschema_description:"Default: the recipe's description."`
	License     string    `yaml:"license,omitempty" jsonschema_description:"Default: the recipe's license."`
	Arch        string    `yaml:"arch,omitempty" jsonschema:"enum=noarch" jsonschema_description:"noarch where the files are the same everywhere."`
	Files       []string  `yaml:"files,omitempty" jsonschema_description:"Globs of installed files, such as /usr/lib/*.so.*; ** crosses folders. A file goes to the first package that claims it."`
	Split       string    `yaml:"split,omitempty" jsonschema:"enum=dev,enum=doc,enum=static,enum=locale,enum=debug,enum=none" jsonschema_description:"Claims a standard set of what no glob claims: dev, doc, static, locale or debug."`
	Depends     []string  `yaml:"depends,omitempty" jsonschema_description:"Run-time needs that are not found automatically, such as 'bash >=5'."`
	Recommends  []string  `yaml:"recommends,omitempty" jsonschema_description:"Installed along where possible."`
	Supplements []string  `yaml:"supplements,omitempty" json:",omitempty" jsonschema_description:"Installed along where one of these is installed and it is possible."`
	Provides    []string  `yaml:"provides,omitempty" jsonschema_description:"Further names it answers to."`
	Conflicts   []string  `yaml:"conflicts,omitempty" jsonschema_description:"Packages that cannot be installed beside it."`
	Replaces    []string  `yaml:"replaces,omitempty" jsonschema_description:"Packages whose place it takes on an upgrade."`
	InstallOnly bool      `yaml:"install_only,omitempty" json:",omitempty" jsonschema_description:"Builds of other versions stay installed beside it, as with kernels. Their files must not collide."`
	Triggers    []Trigger `yaml:"triggers,omitempty" json:",omitempty" jsonschema_description:"Programs to run after transactions that changed certain files."`
	Config      []string  `yaml:"config,omitempty" jsonschema_description:"Globs of files below /etc that administrators edit; upgrades merge them."`
	Modes       []Mode    `yaml:"modes,omitempty" jsonschema_description:"Owner and mode where they are not root and the usual ones."`
	Dirs        []Dir     `yaml:"dirs,omitempty" jsonschema_description:"Folders the package has though they are empty, or with an owner of their own."`
	Extra       []Extra   `yaml:"extra,omitempty" jsonschema_description:"Files of the recipe's folder to ship."`

	Users    []User            `yaml:"users,omitempty" json:",omitempty" jsonschema_description:"System users that exist where the package is installed."`
	Groups   []Group           `yaml:"groups,omitempty" json:",omitempty" jsonschema_description:"System groups that exist where the package is installed."`
	Tmpfiles []string          `yaml:"tmpfiles,omitempty" json:",omitempty" jsonschema_description:"Lines of tmpfiles.d, such as 'd /var/empty 0755 root root -'."`
	Sysctl   map[string]string `yaml:"sysctl,omitempty" json:",omitempty" jsonschema_description:"Kernel settings, such as net.ipv4.ip_forward: '1'."`
	Units    []Unit            `yaml:"units,omitempty" json:",omitempty" jsonschema_description:"Units of systemd: files of the recipe's folder, or names of units that the build installs."`
	NoAuto   []string          `yaml:"no-auto,omitempty" json:",omitempty" jsonschema_description:"Kinds of needs and capabilities that are not looked for in its files: soname, symver, cmd, pkgconfig, interpreter, python, perl, kmod."`

	// Implicit marks the package of debugging symbols that every recipe has; it
	// is not made where there are none.
	Implicit bool `yaml:"-" json:",omitempty"`
}

// IsDev says whether the package is for building with: its needs by name count
// in a build root.
func (p *Package) IsDev() bool { return p.Split == "dev" || strings.HasSuffix(p.Name, "-dev") }

// Trigger names a program that keeps something made of other packages' files
// fresh.
type Trigger struct {
	Name  string   `yaml:"name" jsonschema:"pattern=^[a-z0-9][a-z0-9+._-]*$" jsonschema_description:"Unique in the package."`
	Watch []string `yaml:"watch" jsonschema_description:"Globs of files, such as /usr/share/icons/**; a transaction that adds, changes or removes one runs the program once. Braces are not allowed."`
	Run   []string `yaml:"run" jsonschema_description:"Absolute path of a program that a package installs, and its arguments. No shell."`
}

// Mode gives owner, group, permissions and capabilities to files of a package.
type Mode struct {
	Path   string `yaml:"path" jsonschema_description:"Glob of installed files."`
	Owner  string `yaml:"owner,omitempty" jsonschema_description:"User name. Default: root."`
	Group  string `yaml:"group,omitempty" jsonschema_description:"Group name. Default: root."`
	Mode   string `yaml:"mode,omitempty" jsonschema:"pattern=^[0-7]{4}$" jsonschema_description:"Four octal digits, such as '4755'."`
	Caps   string `yaml:"caps,omitempty" json:",omitempty" jsonschema_description:"File capabilities, such as 'cap_net_raw+ep'."`
	Reason string `yaml:"reason,omitempty" jsonschema_description:"Why; needed for setuid and setgid files and for capabilities."`
}

// User is a system user.
type User struct {
	Name    string   `yaml:"name" jsonschema_description:"Name of the user."`
	ID      *int     `yaml:"id,omitempty" json:",omitempty" jsonschema_description:"Fixed number. Default: a free one."`
	Group   string   `yaml:"group,omitempty" json:",omitempty" jsonschema_description:"Its group. Default: one of its own name."`
	Groups  []string `yaml:"groups,omitempty" json:",omitempty" jsonschema_description:"Further groups it is in."`
	Home    string   `yaml:"home,omitempty" json:",omitempty" jsonschema_description:"Home folder. Default: /."`
	Shell   string   `yaml:"shell,omitempty" json:",omitempty" jsonschema_description:"Login shell. Default: none."`
	Comment string   `yaml:"comment,omitempty" json:",omitempty" jsonschema_description:"What it is for."`
}

// Group is a system group.
type Group struct {
	Name string `yaml:"name" jsonschema_description:"Name of the group."`
	ID   *int   `yaml:"id,omitempty" json:",omitempty" jsonschema_description:"Fixed number. Default: a free one."`
}

// Unit is a unit of systemd that a package brings.
type Unit struct {
	File   string `yaml:"file" jsonschema_description:"File of the recipe's folder, such as files/sshd.service; or the name of a unit that the build installs."`
	Preset string `yaml:"preset,omitempty" json:",omitempty" jsonschema:"enum=enable,enum=disable,enum=none" jsonschema_description:"Whether it starts unless the administrator says otherwise. Default: none, nothing is said."`
}

// Dir is a folder that a package ships.
type Dir struct {
	Path  string `yaml:"path" jsonschema_description:"Absolute path."`
	Owner string `yaml:"owner,omitempty" jsonschema_description:"User name. Default: root."`
	Group string `yaml:"group,omitempty" jsonschema_description:"Group name. Default: root."`
	Mode  string `yaml:"mode,omitempty" jsonschema:"pattern=^[0-7]{4}$" jsonschema_description:"Four octal digits. Default: '0755'."`
}

// Extra is a file of the recipe's folder that a package ships as it is.
type Extra struct {
	From string `yaml:"from" jsonschema_description:"File of the recipe's folder."`
	To   string `yaml:"to" jsonschema_description:"Absolute path in the package."`
	Mode string `yaml:"mode,omitempty" jsonschema:"pattern=^[0-7]{4}$" jsonschema_description:"Four octal digits. Default: '0644'."`
}
