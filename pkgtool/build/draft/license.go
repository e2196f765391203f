package draft

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// licenseFile is how files with a licence's text are called.
var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|copyright|unlicense|gpl|lgpl)([-_.].*)?$`)

// codeFile ends the names of files in whose heads a licence is named.
var codeFile = regexp.MustCompile(`\.(c|h|cc|cpp|hpp|go|py|rs|pl|sh|S)$`)

// notSPDX are names that the library has for texts without an SPDX identifier
// of their own; SPDX.org's list is in its licences' metadata.
var notSPDX = map[string]bool{
	"SSH-short": true, "GL2PS-2003": true, "GooglePatentClause": true, "GooglePatentsFile": true, "CommonsClause": true,
	"Aladdin-9": true, "Anti996": true, "NIST-PD-fallback": true, "PolyForm-Noncommercial-1.0.0": true, "PolyForm-Small-Business-1.0.0": true,
	"Prosperity-3.0.0": true, "LPL-1.02": true, "MTLL": true, "DOC": true, "BSD-1-Clause-Clear": true, "AGPL-Header": true,
}

// enough is the part of a licence file, in percent, that must be known text.
const enough = 60

// license finds the licences of an archive: those whose texts it ships, made
// exact by what the heads of its code say (a GPL's text does not tell whether
// later versions count too). The result is an SPDX expression, "" when nothing
// was found; files names where it was read.
func (a *archive) license() (expression string, files []string) {
	found := map[string]bool{}
	for _, file := range a.files {
		top := strings.Count(file, "/") == 0 || strings.HasPrefix(strings.ToLower(file), "licenses/")
		if !top || !licenseFile.MatchString(path.Base(file)) {
			continue
		}
		cover := licensecheck.Scan([]byte(a.read(file)))
		if cover.Percent < enough || len(cover.Match) == 0 {
			continue
		}
		files = append(files, file)
		for _, m := range cover.Match {
			if !m.IsURL {
				found[m.ID] = true
			}
		}
	}
	heads := a.headLicenses()
	if len(found) == 0 { // no text: what the code says must do
		for _, id := range slices.Sorted(maps.Keys(heads)) {
			found[id] = true
		}
		if len(found) > 0 {
			files = append(files, "the heads of the source files")
		}
	}
	exact := map[string]bool{}
	maps.DeleteFunc(found, func(id string, _ bool) bool { return notSPDX[id] })
	for id := range found {
		exact[exactID(id, heads)] = true
	}
	// The LGPL comes with the text of the GPL, which it builds upon.
	if lgpl := slices.ContainsFunc(slices.Collect(maps.Keys(exact)), func(id string) bool { return strings.HasPrefix(id, "LGPL-3") }); lgpl && !named(heads, "GPL-3.0") {
		maps.DeleteFunc(exact, func(id string, _ bool) bool { return strings.HasPrefix(id, "GPL-3.0") })
	}
	return strings.Join(slices.Sorted(maps.Keys(exact)), " AND "), files
}

// headLicenses are the licences that the heads of up to 400 code files name.
func (a *archive) headLicenses() map[string]bool {
	heads := map[string]bool{}
	read := 0
	for _, file := range a.files {
		if !codeFile.MatchString(file) || strings.Contains(file, "test") {
			continue
		}
		if read++; read > 400 {
			break
		}
		text := a.head(file, 4<<10)
		if m := spdxLine.FindSubmatch(text); m != nil && !strings.ContainsAny(string(m[1]), " ()") {
			heads[string(m[1])] = true
			continue
		}
		for _, m := range licensecheck.Scan(text).Match {
			if !m.IsURL {
				heads[m.ID] = true
			}
		}
	}
	return heads
}

var spdxLine = regexp.MustCompile(`SPDX-License-Identifier:[ \t]*([A-Za-z0-9.+ ()-]*[A-Za-z0-9.+)])`)

var gnu = regexp.MustCompile(`^(A|L)?GPL-[0-9.]+$|^GFDL-[0-9.]+$`)

// exactID makes a GNU licence's name say whether later versions count too.
func exactID(id string, heads map[string]bool) string {
	base := strings.TrimSuffix(strings.TrimSuffix(id, "-only"), "-or-later")
	if !gnu.MatchString(base) {
		return id
	}
	switch {
	case heads[base+"-or-later"] || heads[base+"+"] || strings.HasSuffix(id, "-or-later"):
		return base + "-or-later"
	}
	return base + "-only"
}

// named says whether a licence is among the heads, in whatever spelling.
func named(heads map[string]bool, base string) bool {
	return heads[base] || heads[base+"-only"] || heads[base+"-or-later"]
}
