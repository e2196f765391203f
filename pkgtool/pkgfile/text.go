package pkgfile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkText refuses text that could deceive whoever reads it: control and
// format characters (escape sequences, carriage returns, bidirectional
// overrides, zero-width characters) and invalid UTF-8.
func checkText(s string, most int, allowed string) error {
	if len(s) > most {
		return fmt.Errorf("%d bytes, more than the %d allowed", len(s), most)
	}
	if isPlain(s) {
		return nil
	}
	if !utf8.ValidString(s) {
		return errors.New("not valid UTF-8")
	}
	for _, r := range s {
		if strings.ContainsRune(allowed, r) {
			continue
		}
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs) {
			return fmt.Errorf("character %U is not allowed", r)
		}
	}
	return nil
}

// isPlain is true for printable ASCII, which nearly all text is.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

const (
	maxPath       = 4095 // bytes; the kernel's PATH_MAX with its NUL
	maxComponent  = 255  // bytes; NAME_MAX
	maxComponents = 200
)

// CheckPath is nil if p can be a path in a package: relative, clean, not above
// its root, and without characters that deceive.
func CheckPath(p string) error {
	if p == "" {
		return errors.New("empty path")
	}
	if err := checkText(p, maxPath, ""); err != nil {
		return err
	}
	if p[0] == '/' {
		return errors.New("absolute; paths are relative to the root of the system")
	}
	parts := strings.Split(p, "/")
	if len(parts) > maxComponents {
		return fmt.Errorf("more than %d folders deep", maxComponents)
	}
	for _, part := range parts {
		switch {
		case part == "" || part == "." || part == "..":
			return errors.New("not clean; no empty, . or .. component is allowed")
		case len(part) > maxComponent:
			return fmt.Errorf("a name longer than %d bytes", maxComponent)
		}
	}
	return checkReserved(parts)
}

// checkReserved keeps packages out of what is not theirs: our own records, and
// what the kernel and running programs fill. The folders themselves may be
// shipped, empty.
func checkReserved(parts []string) error {
	switch parts[0] {
	case ".pkg", ".ashlar":
		return fmt.Errorf("/%s is not for packages", parts[0])
	case "proc", "sys", "dev", "run", "tmp":
		if len(parts) > 1 {
			return fmt.Errorf("below /%s, which packages leave alone", parts[0])
		}
	}
	if len(parts) >= 4 && parts[0] == "usr" && parts[1] == "lib" && parts[2] == "ashlar" && parts[3] == "tree" {
		return errors.New("it tells which generation a tree is, and is not for packages")
	}
	return nil
}

// checkSymlink is nil if target can be the text of a symlink at path. It may
// be absolute, and it may point to what another package brings, but not climb
// above the root.
func checkSymlink(path, target string) error {
	if target == "" {
		return errors.New("symlink without target")
	}
	if err := checkText(target, maxPath, ""); err != nil {
		return fmt.Errorf("symlink target: %w", err)
	}
	if target[0] == '/' {
		return nil
	}
	depth := strings.Count(path, "/")
	for i, part := range strings.Split(target, "/") {
		if i >= maxComponents {
			return fmt.Errorf("symlink target more than %d folders deep", maxComponents)
		}
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return errors.New("symlink target climbs above the root")
			}
		default:
			depth++
		}
	}
	return nil
}
