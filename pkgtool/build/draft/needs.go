package draft

import (
	"regexp"
	"slices"
	"strings"
)

var (
	pkgCheck     = regexp.MustCompile(`PKG_CHECK_MODULES\(\s*\[?\w+\]?\s*,\s*\[?([^],)]+)\]?\s*([,)])`)
	checkLib     = regexp.MustCompile(`(?:AC_CHECK_LIB|AC_SEARCH_LIBS)\(\s*\[?([^],)]+)\]?\s*,\s*\[?\s*([^],)]+)`)
	mesonDepends = regexp.MustCompile(`\bdependency\(\s*'([^']+)'([^)]*)`)
	findPackage  = regexp.MustCompile(`(?i)\bfind_package\s*\(\s*([A-Za-z0-9_+.-]+)([^)]*)\)`)
	pkgModules   = regexp.MustCompile(`(?i)\bpkg_(?:check|search)_modules?\s*\(\s*\w+([^)]*)\)`)
)

// systemLibs are the names of libraries that the C library itself has.
var systemLibs = []string{"c", "m", "dl", "rt", "pthread", "util", "resolv", "nsl", "socket", "inet", "crypt_i", "bsd", "gen", "posix4", "threads", "cposix", "xnet", "network", "intl", "iconv"}

// packageOf are libraries whose package is not their own name with -dev; in
// lower case, by pkg-config name, linker name or cmake name.
var packageOf = map[string]string{
	"z": "zlib", "zlib": "zlib", "lzma": "xz", "liblzma": "xz", "bz2": "bzip2", "bzip2": "bzip2", "zstd": "zstd", "libzstd": "zstd", "lz4": "lz4", "liblz4": "lz4",
	"curses": "ncurses", "ncursesw": "ncurses", "tinfo": "ncurses", "tinfow": "ncurses", "termcap": "ncurses", "panel": "ncurses", "panelw": "ncurses", "menu": "ncurses", "form": "ncurses",
	"libpcre2-8": "pcre2", "pcre2-8": "pcre2", "libpcre2-posix": "pcre2", "history": "readline",
	"crypto": "openssl", "ssl": "openssl", "libcrypto": "openssl", "libssl": "openssl",
	"blkid": "e2fsprogs", "uuid": "e2fsprogs", "ext2fs": "e2fsprogs", "com_err": "e2fsprogs",
	"zlib1g": "zlib", "elf": "elfutils", "libelf": "elfutils", "dw": "elfutils", "libdw": "elfutils",
	"crypt": "libxcrypt", "libcrypt": "libxcrypt", "magic": "file", "libmagic": "file",
	"mount": "util-linux", "smartcols": "util-linux", "pam": "linux-pam", "libpam": "linux-pam", "proc2": "procps-ng", "libproc2": "procps-ng",
	"gmp": "gmp", "mpfr": "mpfr", "mpc": "mpc", "event": "libevent", "event_core": "libevent", "pcap": "libpcap", "ffi": "libffi", "sqlite3": "sqlite",
}

// needs finds the libraries and generators that the build looks for, and adds
// those that there are packages of.
func (i *inspector) needs() {
	switch i.System {
	case "autotools", "configure":
		i.autoconfWants()
	case "meson":
		i.mesonWants()
	case "cmake":
		i.cmakeWants()
	}
	for _, name := range i.in.Wants {
		i.want(name, false)
	}
	if len(i.top.ending(".y", ".yy")) > 0 && slices.Contains(i.Tools, "gcc") {
		i.tool("bison")
	}
	if len(i.top.ending(".l", ".ll")) > 0 && slices.Contains(i.Tools, "gcc") {
		i.tool("flex")
	}
	var missing, optional []string
	for _, w := range i.wants {
		if slices.Contains(systemLibs, w.name) {
			continue
		}
		if pkg := i.packageFor(w.name); pkg != "" {
			if !slices.Contains(i.Libs, pkg) {
				i.Libs = append(i.Libs, pkg)
			}
			continue
		}
		name := strings.TrimPrefix(w.name, "lib")
		if w.required {
			missing = appendNew(missing, name)
		} else {
			optional = appendNew(optional, name)
		}
	}
	optional = slices.DeleteFunc(optional, func(name string) bool { return slices.Contains(missing, name) })
	if len(missing) > 0 {
		i.note("it needs %s, of which there is no package here", strings.Join(missing, ", "))
	}
	if len(optional) > 0 {
		i.note("it can use %s, of which there is no package here", strings.Join(optional[:min(len(optional), 12)], ", "))
	}
}

func (i *inspector) autoconfWants() {
	text := i.top.read(i.top.first("configure.ac", "configure.in"))
	for _, m := range pkgCheck.FindAllStringSubmatch(text, -1) {
		i.tool("pkgconf")
		for _, name := range modules(m[1]) {
			i.want(name, m[2] == ")")
		}
	}
	for _, m := range checkLib.FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(m[0], "AC_CHECK_LIB") {
			i.want(m[1], false)
			continue
		}
		for name := range strings.FieldsSeq(m[2]) {
			i.want(name, false)
		}
	}
}

func (i *inspector) mesonWants() {
	for _, m := range mesonDepends.FindAllStringSubmatch(i.top.texts(i.top.named("meson.build")), -1) {
		i.want(m[1], !strings.Contains(m[2], "required"))
	}
}

func (i *inspector) cmakeWants() {
	text := i.top.texts(i.top.named("CMakeLists.txt"))
	for _, m := range findPackage.FindAllStringSubmatch(text, -1) {
		switch name := strings.ToLower(m[1]); name {
		case "threads", "pkgconfig", "git", "doxygen", "perl", "python", "python3", "pythoninterp", "openmp":
		default:
			i.want(name, strings.Contains(strings.ToUpper(m[2]), "REQUIRED"))
		}
	}
	for _, m := range pkgModules.FindAllStringSubmatch(text, -1) {
		for _, name := range modules(m[1]) {
			i.want(name, strings.Contains(m[1], "REQUIRED"))
		}
	}
}

// moduleName is the name of a pkg-config module.
var moduleName = regexp.MustCompile(`^[a-z][A-Za-z0-9+._-]*$`)

// modules are the names in a list such as "glib-2.0 >= 2.40 zlib".
func modules(list string) []string {
	var names []string
	for word := range strings.FieldsSeq(strings.NewReplacer(",", " ", ">=", " ", "<=", " ", "=", " ", "\"", " ").Replace(list)) {
		if moduleName.MatchString(word) {
			names = append(names, word)
		}
	}
	return names
}

// want remembers a library; a later mention can only make it needed.
func (i *inspector) want(name string, required bool) {
	name = strings.TrimSpace(name)
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]*$`).MatchString(name) {
		return
	}
	for n := range i.wants {
		if i.wants[n].name == name {
			i.wants[n].required = i.wants[n].required || required
			return
		}
	}
	i.wants = append(i.wants, want{name, required})
}

// packageFor is the package with the headers of a library, "" where none is
// known.
func (i *inspector) packageFor(library string) string {
	if i.in.Has == nil {
		return ""
	}
	name := strings.ToLower(library)
	bare := strings.TrimPrefix(name, "lib")
	without := func(text string) string { return regexp.MustCompile(`-?[0-9.]+$`).ReplaceAllString(text, "") }
	for _, base := range []string{packageOf[name], packageOf[bare], packageOf[without(bare)], name, "lib" + bare, bare, without(name), without(bare)} {
		if base != "" && base != i.Name && i.in.Has(base+"-dev") {
			return base + "-dev"
		}
	}
	return ""
}

func appendNew(list []string, name string) []string {
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}
