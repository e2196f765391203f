package draft

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"ashlar/pkgtool/version"
)

// suffixes are the ends of archive names that say how they are packed.
var suffixes = regexp.MustCompile(`\.(tar(\.(gz|bz2|xz|zst|lz|lzma|Z))?|tgz|tbz2?|txz|tzst|zip)$`)

// finished ends a version that is no pre-release.
var finished = regexp.MustCompile(`[-_.](stable|release|final|rel)$`)

// nameAndVersion divides NAME-VERSION at the dash or underscore before a digit.
var nameAndVersion = regexp.MustCompile(`^(.+?)[-_]v?([0-9][0-9A-Za-z.+~_-]*)$`)

// repacked ends the version of an archive from which Debian left files out.
var repacked = regexp.MustCompile(`[+~.](dfsg|ds|repack)[0-9.]*$`)

// fileName reads name and upstream version out of an archive's file name, as
// zlib-1.3.1.tar.gz, zlib_1.3.1.orig.tar.xz or v1.3.1.tar.gz (which has no
// name). What it does not find is "".
func fileName(base string) (name, upstream string) {
	base = suffixes.ReplaceAllString(path.Base(base), "")
	base = strings.TrimSuffix(base, ".orig")
	for _, end := range []string{"-src", "-source", ".src", "-sources"} {
		base = strings.TrimSuffix(base, end)
	}
	if m := nameAndVersion.FindStringSubmatch(base); m != nil {
		return packageName(m[1]), m[2]
	}
	if bare := strings.TrimPrefix(base, "v"); bare != "" && bare[0] >= '0' && bare[0] <= '9' {
		return "", bare
	}
	return packageName(base), ""
}

// packageName makes a name that a package can have.
func packageName(text string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', strings.ContainsRune("+._-", r):
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r == ' ':
			return '-'
		}
		return -1
	}, text)
	return strings.Trim(name, "+._-")
}

var (
	numbers    = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*`)
	preRelease = regexp.MustCompile(`(?i)^[-_.~]?(alpha|beta|rc|pre|dev|a|b)[-_.]?([0-9]*)$`)
	patchLevel = regexp.MustCompile(`^[-_.~+]?(?:p|pl|patch|post|r)[-_.]?([0-9]+)$`)
	oneLetter  = regexp.MustCompile(`^[a-z]$`)
	dateSuffix = regexp.MustCompile(`^[-_.~+](?:git)?([0-9]{8})(?:[-.~+].*)?$`)
)

// fourth is by what a third number is multiplied to make room for a fourth one.
const fourth = 1000

// Semantic turns upstream's version into a semantic one. Up to three numbers
// are filled with zeros. A fourth number, a patch level or a letter takes the
// next free place; where all three are taken it is added to a thousand times
// the third. What begins with alpha, beta or rc is a pre-release. Where nothing
// fits it returns "", and a person must choose.
//
//	9.1 -> 9.1.0    590 -> 590.0.0    2.06 -> 2.6.0    1.2.3.4 -> 1.2.3004
//	9.2p1 -> 9.2.1    1.0rc2 -> 1.0.0-rc.2    2025b -> 2025.2.0    1.1.1w -> 1.1.1023
func Semantic(upstream string) string {
	if _, really, ok := strings.Cut(upstream, "+really"); ok { // Debian's way back from a wrong number
		upstream = really
	}
	text := finished.ReplaceAllString(repacked.ReplaceAllString(strings.TrimPrefix(upstream, "v"), ""), "")
	head := numbers.FindString(text)
	if head == "" {
		return ""
	}
	rest := text[len(head):]
	var parts []uint64
	for p := range strings.SplitSeq(head, ".") {
		n, err := strconv.ParseUint(p, 10, 64)
		if err != nil || n > 1<<53 {
			return ""
		}
		parts = append(parts, n)
	}
	pre := ""
	switch {
	case rest == "", dateSuffix.MatchString(rest) && len(parts) <= 3:
	case oneLetter.MatchString(rest): // 2025b, 1.1.1w: before "a" and "b" are taken for alpha and beta
		parts = append(parts, uint64(rest[0]-'a'+1))
	case patchLevel.MatchString(rest):
		n, _ := strconv.ParseUint(patchLevel.FindStringSubmatch(rest)[1], 10, 32)
		parts = append(parts, n)
	case preRelease.MatchString(rest):
		m := preRelease.FindStringSubmatch(rest)
		if pre = "-" + strings.ToLower(m[1]); m[2] != "" {
			n, err := strconv.ParseUint(m[2], 10, 53)
			if err != nil {
				return ""
			}
			pre += fmt.Sprintf(".%d", n)
		}
	default:
		return ""
	}
	if len(parts) > 4 {
		return ""
	}
	if len(parts) == 4 {
		if parts[3] >= fourth || parts[2] > 1<<40 {
			return ""
		}
		parts = []uint64{parts[0], parts[1], parts[2]*fourth + parts[3]}
	}
	for len(parts) < 3 {
		parts = append(parts, 0)
	}
	v := fmt.Sprintf("%d.%d.%d%s", parts[0], parts[1], parts[2], pre)
	if _, err := version.New(0, v, 1); err != nil {
		return ""
	}
	return v
}

// hasFourth says whether Semantic put two of upstream's numbers into one.
func hasFourth(semantic, upstream string) bool {
	text := repacked.ReplaceAllString(strings.TrimPrefix(upstream, "v"), "")
	return semantic != "" && strings.Count(numbers.FindString(text), ".")+1 >= 3 &&
		!strings.HasPrefix(text, semantic) && !strings.Contains(semantic, "-")
}

// WithoutRepack takes off the mark that Debian gives the version of an archive
// from which it left files out, such as +dfsg2.
func WithoutRepack(upstream string) string { return repacked.ReplaceAllString(upstream, "") }
