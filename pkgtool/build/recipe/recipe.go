package recipe

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
	Options     map[string]Option `yaml:"options,omitempty" jsonschema_description:"Choices of whoever builds it, used in conditions as options.NAME."`
	Patches     []Patch           `yaml:"patches,omitempty" jsonschema_description:"Patches of the recipe's folder, applied in this order to the main source with -p1 and no fuzz: file names, or mappings."`
	Build       Build             `yaml:"build,omitempty" jsonschema_description:"What the build needs around it."`
	Phases      Phases            `yaml:"phases,omitempty" jsonschema_description:"What is done, phase by phase."`
	Packages    []Package         `yaml:"packages,omitempty" jsonschema_description:"How the installed files are divided. Default: one package of the recipe's name with all files."`
	Tests       []Test            `yaml:"test,omitempty" jsonschema_description:"Tests of the finished packages, each in a fresh root where they are installed."`
	Lint        Lint              `yaml:"lint,omitempty" jsonschema_description:"Exceptions from the checks of the built files."`
	Update      *Update           `yaml:"update,omitempty" jsonschema_description:"Where new versions are announced."`
	Security    *Security         `yaml:"security,omitempty" jsonschema_description:"Names for vulnerability databases, and what was fixed here."`

	dir  string     // folder of the recipe
	path string     // of recipe.yaml, absolute
	file string     // the same, as errors name it
	pos  *positions // of the keys in file
	tree *Tree

	choices map[string]string // values of the options
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

	Git        string     `yaml:"git,omitempty" jsonschema_description:"A git repository, https://...; with commit, and as sha256 the digest of the archive that pkgtool makes of the commit."`
	Commit     string     `yaml:"commit,omitempty" jsonschema:"pattern=^([0-9a-f]{40}|[0-9a-f]{64})$" jsonschema_description:"Full id of the commit of a git source."`
	Ref        string     `yaml:"ref,omitempty" jsonschema_description:"Branch or tag that leads to the commit, where the server gives out no commit by its id."`
	Submodules bool       `yaml:"submodules,omitempty" jsonschema_description:"Take the submodules of a git source too. Default: false."`
	Signature  *Signature `yaml:"signature,omitempty" jsonschema_description:"Upstream's OpenPGP signature of the file."`

	Tree    string   `yaml:"tree,omitempty" jsonschema_description:"A folder of this project, relative to the folder of all recipes, such as '..'."`
	Include []string `yaml:"include,omitempty" jsonschema_description:"Globs of files to take from a tree. Default: all."`
	Exclude []string `yaml:"exclude,omitempty" jsonschema_description:"Globs of files to leave out of a tree."`

	GoSum string `yaml:"gosum,omitempty" jsonschema_description:"A go.sum file, relative to the folder of all recipes; its modules become a module proxy in $SOURCES/goproxy."`
}

// Signature is a detached OpenPGP signature by upstream, checked besides the
// sum.
type Signature struct {
	URL  string   `yaml:"url" jsonschema_description:"Place of the signature, as in urls; or a file of the recipe's folder."`
	Keys []string `yaml:"keys" jsonschema_description:"Public keys that may have made it: files of the recipe's folder."`
}

// Option is a choice that whoever builds the recipe has.
type Option struct {
	Type    string   `yaml:"type" jsonschema:"enum=bool,enum=enum" jsonschema_description:"Kind of choice."`
	Default any      `yaml:"default,omitempty" jsonschema_description:"Value where nobody chooses. Default: false, or the first of values."`
	Values  []string `yaml:"values,omitempty" jsonschema_description:"What an enum can be."`
	Summary string   `yaml:"summary,omitempty" jsonschema_description:"What it changes."`
}

// Patch is one patch of the recipe's folder, or a quilt series of them. In YAML
// a text is short for the mapping with that file.
type Patch struct {
	File   string `yaml:"file,omitempty" json:"file,omitempty" jsonschema_description:"Patch file of the recipe's folder."`
	Series string `yaml:"series,omitempty" json:"series,omitempty" jsonschema_description:"Instead of file: a quilt series, a file that names patches beside it; below the folder of the source it applies to, or in the recipe's folder."`
	Source string `yaml:"source,omitempty" json:"source,omitempty" jsonschema_description:"Id of the source it applies to. Default: the first one."`
	Strip  *int   `yaml:"strip,omitempty" json:"strip,omitempty" jsonschema:"minimum=0" jsonschema_description:"Leading folders of names in the patch to drop. Default: 1."`
}

// StripCount is how many leading folders of its names are dropped.
func (p *Patch) StripCount() int {
	if p.Strip == nil {
		return 1
	}
	return *p.Strip
}

// Test is tried with the finished packages, in a root that has them, what they
// need at run time and the named tools.
type Test struct {
	Name     string   `yaml:"name,omitempty" json:"name,omitempty" jsonschema_description:"What reports call it. Default: its number."`
	Packages []string `yaml:"packages,omitempty" json:"packages,omitempty" jsonschema_description:"Packages to install. Default: those of the recipe but -dev, -doc, -static, -locale and -debug."`
	Tools    []string `yaml:"tools,omitempty" json:"tools,omitempty" jsonschema_description:"Programs the test uses, as in build.tools."`
	Run      string   `yaml:"run" expand:"-" json:"run" jsonschema_description:"A bash script (-euo pipefail) in an empty folder; a status other than 0 fails the build."`
}

// SourceFolder is the folder below $SRCDIR of a source by its id, "" being the
// first.
func (r *Recipe) SourceFolder(id string) string {
	for _, s := range r.Sources {
		if s.ID == id {
			return s.Into
		}
	}
	return ""
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
	Memory   string            `yaml:"memory,omitempty" jsonschema_description:"What one job needs, such as 2GiB: fewer jobs run where there is less. Default: no limit on jobs."`
	Limits   Limits            `yaml:"limits,omitempty" jsonschema_description:"When a build that does not end is ended."`
	Debug    *bool             `yaml:"debug,omitempty" jsonschema_description:"false makes no package NAME-debug of debugging symbols. Default: true."`
	Strip    *bool             `yaml:"strip,omitempty" jsonschema_description:"false leaves symbols in programs and libraries. Default: true."`
}

// Limits end a build that takes more than it should. Defaults are the sandbox's.
type Limits struct {
	Time      string `yaml:"time,omitempty" json:"time,omitempty" jsonschema_description:"Of the whole build, such as 8h. Default: 6h."`
	Silence   string `yaml:"silence,omitempty" json:"silence,omitempty" jsonschema_description:"Without a line of output and without a file that grows, such as 30m. Default: 1h."`
	Memory    string `yaml:"memory,omitempty" json:"memory,omitempty" jsonschema_description:"Of all processes together, such as 8GiB. Default: none."`
	Disk      string `yaml:"disk,omitempty" json:"disk,omitempty" jsonschema_description:"Of everything the build writes, such as 40GiB. Default: 64GiB."`
	Log       string `yaml:"log,omitempty" json:"log,omitempty" jsonschema_description:"Of output, such as 1GiB. Default: 512MiB."`
	Processes int    `yaml:"processes,omitempty" json:"processes,omitempty" jsonschema:"minimum=1" jsonschema_description:"Processes and threads at one time. Default: 16384."`
}

// HasDebug says whether debugging symbols become a package.
func (b *Build) HasDebug() bool { return b.Strips() && (b.Debug == nil || *b.Debug) }

// IsParallel says whether steps may use all jobs.
func (b *Build) IsParallel() bool { return b.Parallel == nil || *b.Parallel }

// Strips says whether ELF files lose their debugging symbols.
func (b *Build) Strips() bool { return b.Strip == nil || *b.Strip }

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
	Source  string   `yaml:"source" jsonschema:"enum=debian,enum=html,enum=git-tags" jsonschema_description:"Kind of place: html, a page with links to archives; git-tags, a repository; debian, a source package of a Debian suite."`
	URL     string   `yaml:"url" jsonschema_description:"The place: address of the page or repository; of debian the name of the source package."`
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

// Choices are the values of the recipe's options by name.
func (r *Recipe) Choices() map[string]string { return r.choices }

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
