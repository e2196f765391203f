package draft

import (
	"regexp"
	"strings"
)

var (
	mesonProgram = regexp.MustCompile(`(?s)\bexecutable\s*\([^)]*\binstall\s*:\s*true`)
	mesonLibrary = regexp.MustCompile(`\b(?:shared_|both_)?librar(?:y|ies)\s*\(`)
	cmakeProgram = regexp.MustCompile(`(?is)\binstall\s*\(\s*(?:TARGETS|PROGRAMS)[^)]*(?:RUNTIME|BINDIR|DESTINATION\s+"?bin)`)
	cmakeLibrary = regexp.MustCompile(`(?i)\badd_library\s*\(`)
	makeHeaders  = regexp.MustCompile(`(?:^|_)(?:include|pkginclude|nobase_include|[a-z0-9]*include)_HEADERS`)
	makeProgram  = regexp.MustCompile(`(?m)^(?:dist_)?s?bin_(?:PROGRAMS|SCRIPTS)`)
	manual       = regexp.MustCompile(`\.[1-9][a-z]{0,3}(\.in)?$`)
)

// divide guesses which packages there will be. What a guess misses, the first
// build says, with claims to paste.
func (i *inspector) divide() {
	var programs, libraries, headers, config bool
	makes := i.top.texts(i.top.named("Makefile.am"))
	if makes == "" {
		makes = i.top.texts(i.top.named("Makefile.in"))
	}
	switch i.System {
	case "autotools":
		programs, libraries = makeProgram.MatchString(makes), strings.Contains(makes, "lib_LTLIBRARIES")
		headers = makeHeaders.MatchString(makes)
		config = strings.Contains(makes, "sysconf_DATA")
	case "meson":
		all := i.top.texts(i.top.named("meson.build"))
		programs, libraries, headers = mesonProgram.MatchString(all), mesonLibrary.MatchString(all), strings.Contains(all, "install_headers")
	case "cmake":
		all := i.top.texts(i.top.named("CMakeLists.txt"))
		programs, libraries = cmakeProgram.MatchString(all) && strings.Contains(strings.ToLower(all), "add_executable"), cmakeLibrary.MatchString(all)
		headers = libraries
	case "go", "make":
		programs = true
	default:
		return // one package with everything
	}
	pc := len(i.top.ending(".pc.in")) > 0
	headers, libraries = headers || pc, libraries || pc && len(i.top.ending(".c", ".cc", ".cpp")) > 0
	if !programs && !libraries {
		return
	}
	main := Split{Name: i.Name}
	var more []Split
	shared := "/usr/lib/*.so.*"
	switch {
	case programs && libraries:
		main.Files = []string{"/usr/bin/*"}
		more = append(more, Split{Name: i.Name + "-libs", Summary: "Shared libraries of " + i.Name, Files: []string{shared}})
	case libraries:
		main.Files = []string{shared}
	default:
		main.Files = []string{"/usr/bin/*"}
	}
	if config {
		i.note("it may install files in /etc; those that administrators edit go under config")
	}
	if libraries || headers {
		more = append(more, Split{Name: i.Name + "-dev", Summary: "Headers of " + i.Name, Split: "dev"})
	}
	if i.hasManuals() && i.System != "go" {
		more = append(more, Split{Name: i.Name + "-doc", Summary: "Manuals of " + i.Name, Split: "doc"})
	}
	if len(i.top.ending(".gmo")) > 0 && i.System == "autotools" {
		more = append(more, Split{Name: i.Name + "-locale", Summary: "Translations of " + i.Name, Split: "locale"})
	}
	i.Packages = append([]Split{main}, more...)
}

func (i *inspector) hasManuals() bool {
	for _, file := range i.top.files {
		if strings.Contains(file, "test") {
			continue
		}
		if manual.MatchString(file) && looksLikeManual(i.top.head(file, 2000)) {
			return true
		}
		if strings.HasSuffix(file, ".texi") || strings.HasSuffix(file, ".texinfo") || strings.HasSuffix(file, ".info") {
			return true
		}
	}
	return false
}

// looksLikeManual tells a manual page from a file whose name only ends so.
func looksLikeManual(text []byte) bool {
	for _, mark := range []string{".TH ", ".Dd ", ".so man", ".SH "} {
		if strings.Contains(string(text), mark) {
			return true
		}
	}
	return false
}
