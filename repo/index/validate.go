package index

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// What characters may be in a name, a version, and so on.
const (
	isName byte = 1 << iota
	isVersion
	isArch
	isSum
	isLetter
	isDigit
)

var characters = func() (of [256]byte) {
	for set, with := range map[string]byte{
		"abcdef":                     isSum,
		"abcdefghijklmnopqrstuvwxyz": isName | isVersion | isArch | isLetter,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ": isVersion,
		"0123456789":                 isName | isVersion | isArch | isSum | isDigit,
		"+._-":                       isName,
		".~-":                        isVersion,
		"_":                          isArch,
	} {
		for _, c := range []byte(set) {
			of[c] |= with
		}
	}
	return of
}()

// word reports whether s has 1 to max characters, all of a kind. (Regular
// expressions would cost every start of the program.)
func word(s string, max int, kind byte) bool {
	for i := range len(s) {
		if characters[s[i]]&kind == 0 {
			return false
		}
	}
	return s != "" && len(s) <= max
}

func begins(s string, kind byte) bool { return s != "" && characters[s[0]]&kind != 0 }

func validName(s string) bool { return begins(s, isLetter|isDigit) && word(s, maxName, isName) }

func validArch(s string) bool { return word(s, 32, isArch) }

func validSum(s string) bool { return len(s) == 64 && word(s, 64, isSum) }

// validVersion looks at the shape only; whether it is a semantic version is
// package version's matter.
func validVersion(s string) bool {
	return (begins(s, isVersion) && s[0] != '.' && s[0] != '~' && s[0] != '-') && word(s, 128, isVersion)
}

// Validate says what is wrong with an entry, whoever made it.
func (e *Entry) Validate() error {
	switch {
	case !validName(e.Name):
		return fmt.Errorf("invalid package name %.150q", e.Name)
	case !validVersion(e.Version):
		return fmt.Errorf("package %s: invalid version %.150q", e.Name, e.Version)
	case !validArch(e.Arch):
		return fmt.Errorf("package %s: invalid arch %.50q", e.Name, e.Arch)
	case e.Release == 0:
		return fmt.Errorf("package %s: a release counts from 1", e.Name)
	case !validSum(e.SHA256):
		return fmt.Errorf("package %s: invalid sha256 %.80q", e.ID(), e.SHA256)
	case !validSum(e.Manifest):
		return fmt.Errorf("package %s: invalid manifest_sha256 %.80q", e.ID(), e.Manifest)
	case e.Size <= 0 || e.Size > maxPackage:
		return fmt.Errorf("package %s: impossible size %d", e.ID(), e.Size)
	case e.MetaSize <= 0 || e.MetaSize > e.Size:
		return fmt.Errorf("package %s: impossible meta_size %d", e.ID(), e.MetaSize)
	case e.InstalledSize < 0:
		return fmt.Errorf("package %s: impossible installed_size %d", e.ID(), e.InstalledSize)
	case e.Path != e.PoolPath():
		return fmt.Errorf("package %s: path %.300q should be %s", e.ID(), e.Path, e.PoolPath())
	}
	if _, err := e.EVR(); err != nil {
		return fmt.Errorf("package %s: %w", e.ID(), err)
	}
	return e.validateTexts()
}

// validateTexts keeps control characters out: these strings reach terminals.
func (e *Entry) validateTexts() error {
	for _, s := range []string{e.Upstream, e.Summary, e.Recipe, e.Vendor} {
		if !plain(s) {
			return fmt.Errorf("package %s: text %.80q is too long or not printable", e.ID(), s)
		}
	}
	for _, list := range [][]string{e.Requires, e.Provides, e.Conflicts, e.Replaces, e.Recommends, e.Supplements} {
		if len(list) > maxList {
			return fmt.Errorf("package %s: %d dependencies", e.ID(), len(list))
		}
		for _, s := range list {
			if s == "" || !plain(s) {
				return fmt.Errorf("package %s: dependency %.80q is empty, too long or not printable", e.ID(), s)
			}
		}
	}
	return nil
}

func plain(s string) bool {
	if len(s) > maxString {
		return false
	}
	ascii := true // and printable, as nearly all is
	for i := range len(s) {
		ascii = ascii && s[i] >= ' ' && s[i] <= '~'
	}
	if ascii {
		return true
	}
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
