package version

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// maxLength bounds the text of one version in bytes.
const maxLength = 200

// Version is a package's version. Compare it with [Version.Compare], never
// with ==. The zero value is no version and prints as "".
type Version struct {
	Epoch   uint32
	Semver  *semver.Version
	Release uint32
}

// Parse reads "[epoch:]semver-release", for example "9.2.1-3" or
// "1:2.0.0-rc.1-1". What follows the last dash is the release: a number from 1
// without leading zeros. Build metadata ("+x") is refused because it takes no
// part in the order.
func Parse(text string) (Version, error) {
	epoch, rest, err := cutEpoch(text)
	if err != nil {
		return Version{}, fmt.Errorf("version %q: %w", text, err)
	}
	number, release, found := cutRelease(rest)
	if !found {
		return Version{}, fmt.Errorf("version %q has no release number; write it as %s-1", text, text)
	}
	v, err := New(epoch, number, release)
	if err != nil {
		return Version{}, err
	}
	if v.String() != text {
		return Version{}, fmt.Errorf("version %q is not in canonical form; write %s", text, v)
	}
	return v, nil
}

// New puts a version together from the fields of a recipe or manifest. The
// release counts from 1.
func New(epoch uint32, number string, release uint32) (Version, error) {
	if release == 0 {
		return Version{}, fmt.Errorf("version %s: release is 0; releases count from 1", number)
	}
	s, err := parseNumber(number)
	if err != nil {
		return Version{}, err
	}
	return Version{epoch, s, release}, nil
}

// String returns the canonical text, which [Parse] reads. A version without a
// release (only a [Provide] has one) prints without it.
func (v Version) String() string {
	if v.Semver == nil {
		return ""
	}
	var b strings.Builder
	if v.Epoch > 0 {
		fmt.Fprintf(&b, "%d:", v.Epoch)
	}
	b.WriteString(v.Semver.String())
	if v.Release > 0 {
		fmt.Fprintf(&b, "-%d", v.Release)
	}
	return b.String()
}

// Compare returns -1, 0 or +1 as v is older than, equal to or newer than o:
// by epoch, then semantic version, then release.
func (v Version) Compare(o Version) int {
	if c := cmp.Compare(v.Epoch, o.Epoch); c != 0 {
		return c
	}
	switch {
	case v.Semver == nil && o.Semver == nil:
	case v.Semver == nil:
		return -1
	case o.Semver == nil:
		return 1
	default:
		if c := v.Semver.Compare(o.Semver); c != 0 {
			return c
		}
	}
	return cmp.Compare(v.Release, o.Release)
}

// MarshalText returns the canonical text.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText is [Parse]; an empty text gives the zero value.
func (v *Version) UnmarshalText(text []byte) (err error) {
	*v = Version{}
	if len(text) > 0 {
		*v, err = Parse(string(text))
	}
	return err
}

// parseNumber reads a semantic version without build metadata.
func parseNumber(number string) (*semver.Version, error) {
	if len(number) > maxLength {
		return nil, fmt.Errorf("version %.40q... is longer than %d bytes", number, maxLength)
	}
	s, err := semver.StrictNewVersion(number)
	if err != nil {
		return nil, fmt.Errorf("version %q: %w; write it as major.minor.patch", number, err)
	}
	if s.Metadata() != "" {
		return nil, fmt.Errorf("version %q: build metadata (+%s) is not allowed", number, s.Metadata())
	}
	for part := range strings.SplitSeq(s.Prerelease(), ".") {
		// The library orders longer numbers as text, which is no total order.
		if len(part) > 18 && isNumber(part) {
			return nil, fmt.Errorf("version %q: the number %s is too long", number, part)
		}
	}
	return s, nil
}

func cutEpoch(text string) (epoch uint32, rest string, err error) {
	before, after, found := strings.Cut(text, ":")
	if !found {
		return 0, text, nil
	}
	n, err := strconv.ParseUint(before, 10, 32)
	if err != nil || n == 0 || before[0] == '0' || before[0] == '+' {
		return 0, "", fmt.Errorf("epoch %q is not a number from 1 to 4294967295", before)
	}
	return uint32(n), after, nil
}

// cutRelease splits "1.2.3-rc.1-4" into "1.2.3-rc.1" and 4. What follows the
// last dash is a release only if it is a plain number.
func cutRelease(text string) (number string, release uint32, found bool) {
	i := strings.LastIndexByte(text, '-')
	if i < 0 || !isNumber(text[i+1:]) || text[i+1] == '0' {
		return text, 0, false
	}
	n, err := strconv.ParseUint(text[i+1:], 10, 32)
	if err != nil {
		return text, 0, false
	}
	return text[:i], uint32(n), true
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
