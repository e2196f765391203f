package recipe

import "strings"

// Recipe is one recipe.yaml. The zero value of an optional key is its default
// unless the description says otherwise.
type Recipe struct {
	Schema      int               `yaml:"schema" jsonschema:"enum=1" jsonschema_description:"Version of this format: 1."`
	Name        string            `yaml:"name" jsonschema:"pattern=^[a-z0-9][a-z0-9+._-]*$" jsonschema_description:"Name of the source package; also the name of the recipe's folder."`
	Version     string            `yaml:"version" jsonschema_description:"Semantic version of the packages. Quote it."`
	Upstream    string            `yaml:"upstream,omitempty" jsonschema_description:"The version as upstream spells it, where that is not a semantic version. Default: version."`
	Release     uint32            `yaml:"release" jsonschema:"minimum=1" jsonschema_description:"Our build number; starts at 1 with every version."`
	Epoch       uint32            `yaml:"epoch,omitempty" jsonschema_description:"Comes before the version when versions are compared; for accidents in upstream's numbering."`
	Date        string            `yaml:"date" jsonschema_description:"Day of this version or release, as 2026-01-10. It is SOURCE_DATE_EPOCH of the build."`
	Summary     string            `yaml:"summary" jsonschema_description:"One line that says what it is."`
	Description string            `yaml:"description,omitempty" jsonschema_description:"A paragraph, where the summary is not enough."`
	License     string            `yaml:"license" jsonschema_description:"SPDX license expression."`
	Homepage    string            `yaml:"homepage,omitempty" jsonschema_description:"Where upstream lives."`
	Vendor      string            `yaml:"vendor,omitempty" jsonschema_description:"Who makes the packages, one line."`
	Origin      string            `yaml:"origin,omitempty" jsonschema:"enum=source,enum=seed" jsonschema_description:"seed where the recipe only repacks files of the bootstrap tool chain. Default: source."`
	Arches      []string          `yaml:"arches,omitempty" jsonschema:"enum=x86_64,enum=noarch" jsonschema_description:"Architectures it builds on. Default: all. noarch alone: every package is noarch."`
	Vars        map[string]string `yaml:"vars,omitempty" jsonschema_description:"Own variables, used as ${vars.NAME}."`
	Sources     []Source          `yaml:"sources,omitempty" jsonschema_description:"Everything the build reads; fetched and checked before the build starts."`
	Patches     []string          `yaml:"patches,omitempty" jsonschema_description:"Patch files of the recipe's folder, applied in this order to the main source with -p1 and no fuzz."`
	Build       Build             `yaml:"build,omitempty" jsonschema_description:"What the build needs around it."`
	Phases      Phases            `yaml:"phases,omitempty" jsonschema_description:"What is done, phase by phase."`
	Packages    []Package         `yaml:"packages,omitempty" jsonschema_description:"How the installed files are divided. Default: one package of the recipe's name with all files."`
	Lint        Lint              `yaml:"lint,omitempty" jsonschema_description:"Exceptions from the checks of the built files."`
	Update      *Update           `yaml:"update,omitempty" jsonschema_description:"Where new versions are announced."`
	Security    *Security         `yaml:"security,omitempty" jsonschema_description:"Names for vulnerability databases, and what was fixed here."`

	dir  string     // folder of the recipe
	file string     // path of recipe.yaml, as errors name it
	pos  *positions // of the keys in file
	tree *Tree
}

// Source is one input of the build: an archive or file (urls), a folder of
// this project (tree), or every Go module that a go.sum names (gosum).
type Source struct {
	ID     string   `yaml:"id,omitempty" jsonschema_description:"Name within the recipe. Default: main for the first one."`
	URLs   []string `yaml:"urls,omitempty" jsonschema_description:"Places of the same bytes, tried in order: mirror://NAME/path, gomod://module@version, https://..., or a file of the recipe's folder."`
	SHA256 string   `yaml:"sha256,omitempty" jsonschema:"pattern=^[0-9a-f]{64}$" jsonschema_description:"Digest of the file."`
	H1     string   `yaml:"h1,omitempty" jsonschema_description:"Sum of a gomod:// source, as go.sum has it; instead of sha256."`
	Size   int64    `yaml:"size,omitempty" jsonschema_description:"Size of the file in bytes; checked when given."`
	Unpack *bool    `yaml:"unpack,omitempty" jsonschema_description:"false keeps the file as $SOURCES/BASENAME. Default: true."`
	Strip  *int     `yaml:"strip,omitempty" jsonschema:"minimum=0" jsonschema_description:"Leading folders to drop while unpacking. Default: 1."`
	Into   string   `yaml:"into,omitempty" jsonschema_description:"Folder below $SRCDIR to unpack into. Default: $SRCDIR itself."`

	Tree    string   `yaml:"tree,omitempty" jsonschema_description:"A folder of this project, relative to the folder of all recipes, such as '..'."`
	Include []string `yaml:"include,omitempty" jsonschema_description:"Globs of files to take from a tree. Default: all."`
	Exclude []string `yaml:"exclude,omitempty" jsonschema_description:"Globs of files to leave out of a tree."`

	GoSum string `yaml:"gosum,omitempty" jsonschema_description:"A go.sum file, relative to the folder of all recipes; its modules become a module proxy in $SOURCES/goproxy."`
}

// Unpacked says whether the source is unpacked below $SRCDIR.
func (s *Source) Unpacked() bool {
	return s.GoSum == "" && (s.Unpack == nil || *s.Unpack)
}

// StripCount is how many leading folders unpacking drops.
func (s *Source) StripCount() int {
	if s.Strip == nil {
		return 1
	}
	return *s.Strip
}

// Build is what surrounds the phases.
type Build struct {
	Style    string            `yaml:"style,omitempty" jsonschema_description:"Fills the phases that the recipe leaves out: the name of a file in pipelines/styles. Default: none."`
	Tools    []string          `yaml:"tools,omitempty" jsonschema_description:"Programs that run during the build: a layer or package of the seed, else a package of a recipe."`
	Libs     []string          `yaml:"libs,omitempty" jsonschema_description:"Packages of other recipes whose headers and libraries the build uses."`
	Check    []string          `yaml:"check,omitempty" jsonschema_description:"Tools that only the check phase uses."`
	Env      map[string]string `yaml:"env,omitempty" jsonschema_description:"Variables for every step. An empty value unsets one of the standard ones."`
	Parallel *bool             `yaml:"parallel,omitempty" jsonschema_description:"false builds with JOBS=1. Default: true."`
	Strip    *bool             `yaml:"strip,omitempty" jsonschema_description:"false leaves symbols in programs and libraries. Default: true."`
}

// IsParallel says whether steps may use all jobs.
func (b *Build) IsParallel() bool { return b.Parallel == nil || *b.Parallel }

// Strips says whether ELF files lose their debugging symbols.
func (b *Build) Strips() bool { return b.Strip == nil || *b.Strip }

// Package is one package a recipe makes.
type Package struct {
	Name        string    `yaml:"name" jsonschema:"pattern=^[a-z0-9][a-z0-9+._-]*$" jsonschema_description:"Unique among all recipes."`
	Summary     string    `yaml:"summary,omitempty" jsonschema_description:"Default: the recipe's summary."`
	Description string    `yaml:"description,omitempty" jsonschema_description:"Default: the recipe's description."`
	License     string    `yaml:"license,omitempty" jsonschema_description:"Default: the recipe's license."`
	Arch        string    `yaml:"arch,omitempty" jsonschema:"enum=noarch" jsonschema_description:"noarch where the files are the same everywhere."`
	Files       []string  `yaml:"files,omitempty" jsonschema_description:"Globs of installed files, such as /usr/lib/*.so.*; ** crosses folders. A file goes to the first package that claims it."`
	Split       string    `yaml:"split,omitempty" jsonschema:"enum=dev,enum=doc,enum=static,enum=none" jsonschema_description:"Claims a standard set of what no glob claims: dev, doc or static."`
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
	Reason string `yaml:"reason,omitempty" jsonschema_description:"Why; needed for setuid and setgid files."`
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

// Lint lists the accepted exceptions from the checks of built files.
type Lint struct {
	Allow []Allow `yaml:"allow,omitempty" jsonschema_description:"Accepted findings."`
}

// Allow accepts one finding.
type Allow struct {
	ID     string `yaml:"id" jsonschema_description:"The check, as its message names it."`
	Path   string `yaml:"path,omitempty" jsonschema_description:"Glob of files, or the name a soname finding gives. Default: all."`
	Reason string `yaml:"reason" jsonschema_description:"Why it is fine here."`
}

// Update says how to find new upstream versions.
type Update struct {
	Source  string   `yaml:"source" jsonschema_description:"Kind of place: git-tags or html."`
	URL     string   `yaml:"url" jsonschema_description:"The place."`
	Match   string   `yaml:"match,omitempty" jsonschema_description:"Regular expression of a version's name."`
	Version string   `yaml:"version,omitempty" jsonschema_description:"The version, made of the expression's groups."`
	Ignore  []string `yaml:"ignore,omitempty" jsonschema_description:"Versions to pass over."`
}

// Security connects the recipe with vulnerability databases.
type Security struct {
	CPE         string        `yaml:"cpe,omitempty" jsonschema_description:"CPE 2.3 name."`
	PURL        string        `yaml:"purl,omitempty" jsonschema_description:"Package URL."`
	Fixed       []Fixed       `yaml:"fixed,omitempty" jsonschema_description:"Vulnerabilities that a release of this recipe fixed."`
	NotAffected []NotAffected `yaml:"not-affected,omitempty" jsonschema_description:"Vulnerabilities that do not concern us."`
}

// Fixed names the release that fixed a vulnerability.
type Fixed struct {
	ID string `yaml:"id" jsonschema_description:"Such as CVE-2022-37434."`
	In string `yaml:"in" jsonschema_description:"Version and release, such as 1.2.13-1."`
}

// NotAffected explains why a vulnerability does not concern the recipe.
type NotAffected struct {
	ID     string `yaml:"id" jsonschema_description:"Such as CVE-2022-37434."`
	Reason string `yaml:"reason" jsonschema_description:"Why."`
}

// Dir is the recipe's folder.
func (r *Recipe) Dir() string { return r.dir }

// File is the path of the recipe's YAML file.
func (r *Recipe) File() string { return r.file }

// OriginOf is where the packages' files come from: source or seed.
func (r *Recipe) OriginOf() string {
	if r.Origin != "" {
		return r.Origin
	}
	return "source"
}

// UpstreamVersion is upstream, or version where that is left out.
func (r *Recipe) UpstreamVersion() string {
	if r.Upstream != "" {
		return r.Upstream
	}
	return r.Version
}
