package draft

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// declaration is what an archive says about itself.
type declaration struct{ name, version, summary, homepage string }

// say keeps what is new in d.
func (d *declaration) say(more declaration) {
	d.name, d.version = firstOf(d.name, more.name), firstOf(d.version, more.version)
	d.summary, d.homepage = firstOf(d.summary, more.summary), firstOf(d.homepage, more.homepage)
}

var (
	acInit       = regexp.MustCompile(`AC_INIT\(\s*\[?([^],)]+)\]?\s*,\s*\[?([0-9][^],)]*)\]?`)
	packageVar   = regexp.MustCompile(`(?m)^PACKAGE_(NAME|VERSION|URL)='([^'\n]*)'`)
	mesonProject = regexp.MustCompile(`(?s)\bproject\s*\(\s*'([^']+)'(.*?)\n?\s*\)`)
	mesonVersion = regexp.MustCompile(`\bversion\s*:\s*'([0-9][^']*)'`)
	cmakeProject = regexp.MustCompile(`(?is)\bproject\s*\(\s*"?([A-Za-z0-9_.+-]+)"?(.*?)\)`)
	cmakeValue   = regexp.MustCompile(`(?i)\b(VERSION|DESCRIPTION|HOMEPAGE_URL)\s+(?:"([^"]*)"|([^\s)"]+))`)
	pcLine       = regexp.MustCompile(`(?m)^(Description|URL):[ \t]*(\S.*)$`)
	tomlLine     = regexp.MustCompile(`(?m)^(name|version|description)\s*=\s*["']([^"'\n]+)["']`)
	setupLine    = regexp.MustCompile(`(?m)^\s*(name|version|description|url)\s*=\s*["']([^"'\n]+)["']`)
	setupCfg     = regexp.MustCompile(`(?m)^(name|version|description|url)\s*=\s*([^\n]+)$`)
	goModule     = regexp.MustCompile(`(?m)^module\s+(\S+)`)
)

// declared reads name, version, summary and homepage from the files of build
// systems, the most exact first.
func (i *inspector) declared() declaration {
	var d declaration
	if text := i.top.read("configure"); text != "" {
		for _, m := range packageVar.FindAllStringSubmatch(text, 3) {
			switch m[1] {
			case "NAME":
				d.say(declaration{name: m[2]})
			case "VERSION":
				d.say(declaration{version: m[2]})
			case "URL":
				d.say(declaration{homepage: m[2]})
			}
		}
	}
	if m := acInit.FindStringSubmatch(i.top.read(i.top.first("configure.ac", "configure.in"))); m != nil {
		d.say(declaration{name: m[1], version: m[2]})
	}
	if m := mesonProject.FindStringSubmatch(i.top.read("meson.build")); m != nil {
		d.say(declaration{name: m[1]})
		if v := mesonVersion.FindStringSubmatch(m[2]); v != nil {
			d.say(declaration{version: v[1]})
		}
	}
	if m := cmakeProject.FindStringSubmatch(i.top.read("CMakeLists.txt")); m != nil && !strings.Contains(m[1], "$") {
		d.say(declaration{name: m[1]})
		for _, v := range cmakeValue.FindAllStringSubmatch(m[2], -1) {
			value := firstOf(v[2], v[3])
			if strings.Contains(value, "$") {
				continue
			}
			switch strings.ToUpper(v[1]) {
			case "VERSION":
				d.say(declaration{version: value})
			case "DESCRIPTION":
				d.say(declaration{summary: value})
			case "HOMEPAGE_URL":
				d.say(declaration{homepage: value})
			}
		}
	}
	for _, found := range [][][]string{
		tomlLine.FindAllStringSubmatch(i.top.read("pyproject.toml"), -1),
		setupLine.FindAllStringSubmatch(i.top.read("setup.py"), -1),
		setupCfg.FindAllStringSubmatch(i.top.read("setup.cfg"), -1),
	} {
		for _, m := range found {
			value := strings.TrimSpace(m[2])
			switch m[1] {
			case "name":
				d.say(declaration{name: value})
			case "version":
				d.say(declaration{version: value})
			case "description":
				d.say(declaration{summary: value})
			case "url":
				d.say(declaration{homepage: value})
			}
		}
	}
	if m := goModule.FindStringSubmatch(i.top.read("go.mod")); m != nil {
		module := m[1]
		if base := path.Base(module); len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
			module = path.Dir(module)
		}
		d.say(declaration{name: path.Base(module), homepage: "https://" + module})
	}
	for _, file := range i.top.ending(".pc.in", ".pc.cmake") {
		for _, m := range pcLine.FindAllStringSubmatch(i.top.read(file), -1) {
			if strings.ContainsAny(m[2], "@$") {
				continue
			}
			if m[1] == "URL" {
				d.say(declaration{homepage: m[2]})
			} else {
				d.say(declaration{summary: m[2]})
			}
		}
		break // the one nearest to the top is the project's own
	}
	if !strings.HasPrefix(d.homepage, "https://") && !strings.HasPrefix(d.homepage, "http://") {
		d.homepage = ""
	}
	return d
}

// topFolder returns the one folder that an archive has at its top and 1, or
// the whole and 0 where it has several.
func topFolder(dir string) (string, int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", 0, err
	}
	if len(entries) == 1 && entries[0].IsDir() {
		return filepath.Join(dir, entries[0].Name()), 1, nil
	}
	return dir, 0, nil
}
