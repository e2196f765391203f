package index

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// word reports whether s has 1 to max characters, all of set, the first of
// first. (Regular expressions would cost every start of the program.)
func word(s string, max int, first, set string) bool {
	return s != "" && len(s) <= max && strings.ContainsRune(first, rune(s[0])) && strings.Trim(s, set) == ""
}

func validName(s string) bool { return word(s, maxName, lower+digits, lower+digits+"+._-") }

func validArch(s string) bool { return word(s, 32, lower+digits+"_", lower+digits+"_") }

func validSum(s string) bool { return len(s) == 64 && word(s, 64, digits+"abcdef", digits+"abcdef") }

// validVersion looks at the shape only; whether it is a semantic version is
// package version's matter.
func validVersion(s string) bool {
	return word(s, 128, lower+upper+digits, lower+upper+digits+".~-")
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
	if len(s) > maxString || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
