package pkgfile

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"ashlar/pkgtool/version"
)

// Limits. They bound what a hostile package can cost; no honest one comes near.
const (
	maxManifest    = 32 << 20  // bytes of JSON, about 120,000 files
	maxMeta        = 34 << 20  // bytes of the meta frame, uncompressed
	maxFileSize    = 1<<33 - 1 // bytes; what the tar header's field can say
	maxTotalSize   = 1 << 40   // bytes installed
	maxList        = 20_000    // entries of requires, provides...
	maxListText    = 512       // bytes of one such entry
	maxLine        = 1024      // bytes of a one-line field
	maxDescription = 64 << 10
	maxSources     = 10_000
	maxXattrs      = 64 << 10 // bytes of names and values per file
	maxEpochTime   = 1<<33 - 1
)

var (
	nameForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9+._-]{0,127}$`)
	archForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,31}$`)
	ownerForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,30}$`)
	xattrForm = regexp.MustCompile(`^(security|system|trusted|user)\.[A-Za-z0-9_.-]{1,200}$`)
)

// validate checks everything the manifest says by itself: the form of each
// field, the rules between files, and the frame table against the layout that
// the file table demands.
func (m *Manifest) validate() error {
	if m.Format != FormatVersion {
		return fmt.Errorf("format %d; this program reads format %d", m.Format, FormatVersion)
	}
	if err := m.checkFields(); err != nil {
		return err
	}
	if err := m.checkFiles(); err != nil {
		return err
	}
	return m.checkFrames()
}

func (m *Manifest) checkFields() error {
	if !nameForm.MatchString(m.Name) {
		return fmt.Errorf("name %.200q: lower-case letters, digits and + . _ - are allowed, at most 128", m.Name)
	}
	if !archForm.MatchString(m.Arch) {
		return fmt.Errorf("arch %.200q is not an architecture", m.Arch)
	}
	if len(m.Version) > 256 {
		return errors.New("version longer than 256 bytes")
	}
	evr, err := m.EVR()
	if err != nil {
		return err
	}
	if got := evr.Semver.String(); got != m.Version {
		return fmt.Errorf("version %.200q is not canonical; %.200q is", m.Version, got)
	}
	for _, line := range []struct{ name, text string }{
		{"upstream", m.Upstream}, {"summary", m.Summary}, {"license", m.License},
		{"homepage", m.Homepage}, {"recipe", m.Recipe}, {"vendor", m.Vendor},
	} {
		if err := checkText(line.text, maxLine, ""); err != nil {
			return fmt.Errorf("%s: %w", line.name, err)
		}
	}
	if err := checkText(m.Description, maxDescription, "\n"); err != nil {
		return fmt.Errorf("description: %w", err)
	}
	if err := m.checkLists(); err != nil {
		return err
	}
	if err := checkTriggers(m.Triggers); err != nil {
		return err
	}
	return m.Provenance.check()
}

func (m *Manifest) checkLists() error {
	for _, list := range []struct {
		name  string
		texts []string
		parse func(string) (string, error)
	}{
		{"requires", m.Requires, canonicalDependency}, {"conflicts", m.Conflicts, canonicalDependency},
		{"replaces", m.Replaces, canonicalDependency}, {"recommends", m.Recommends, canonicalDependency},
		{"supplements", m.Supplements, canonicalDependency}, {"provides", m.Provides, canonicalProvide},
	} {
		if len(list.texts) > maxList {
			return fmt.Errorf("%s: %d entries, more than the %d allowed", list.name, len(list.texts), maxList)
		}
		for i, text := range list.texts {
			if err := checkText(text, maxListText, ""); err != nil {
				return fmt.Errorf("%s: %w", list.name, err)
			}
			if i > 0 && list.texts[i-1] >= text {
				return fmt.Errorf("%s: %.200q is not in order, or twice", list.name, text)
			}
			canonical, err := list.parse(text)
			if err != nil {
				return fmt.Errorf("%s: %w", list.name, err)
			}
			if canonical != text {
				return fmt.Errorf("%s: %.200q is not canonical; %.200q is", list.name, text, canonical)
			}
		}
	}
	return nil
}

func (p *Provenance) check() error {
	switch p.Origin {
	case "source", "seed", "import":
	default:
		return fmt.Errorf("provenance: origin %.200q is not source, seed or import", p.Origin)
	}
	if p.Action != "" && !isSHA256(p.Action) {
		return errors.New("provenance: action is not a sha256")
	}
	if p.Epoch < 0 || p.Epoch > maxEpochTime {
		return fmt.Errorf("provenance: epoch %d is not a time", p.Epoch)
	}
	if len(p.Sources) > maxSources {
		return fmt.Errorf("provenance: more than %d sources", maxSources)
	}
	for _, s := range p.Sources {
		if err := checkText(s.URI, maxPath, ""); err != nil || s.URI == "" {
			return fmt.Errorf("provenance: source %.200q is not a URI", s.URI)
		}
		if s.SHA256 != "" && !isSHA256(s.SHA256) {
			return fmt.Errorf("provenance: source %.200q: not a sha256", s.URI)
		}
	}
	return nil
}

// checkFrames proves that the frame table and the files' positions are those
// the layout rule gives, and that no frame claims an impossible size.
func (m *Manifest) checkFrames() error {
	frames, err := layOut(m)
	if err != nil {
		return err
	}
	if len(frames) != len(m.Frames) {
		return fmt.Errorf("%d frames; the files make %d", len(m.Frames), len(frames))
	}
	var offset int64
	for i, f := range m.Frames {
		switch {
		case f.Offset != offset:
			return fmt.Errorf("frame %d: offset %d; the frames before it end at %d", i, f.Offset, offset)
		case f.USize != frames[i].usize:
			return fmt.Errorf("frame %d: %d bytes uncompressed; its files make %d", i, f.USize, frames[i].usize)
		case f.Size <= 0 || f.Size > maxCompressed(f.USize):
			return fmt.Errorf("frame %d: %d bytes cannot be the compressed form of %d", i, f.Size, f.USize)
		case !isSHA256(f.SHA256):
			return fmt.Errorf("frame %d: no sha256", i)
		}
		offset += f.Size
	}
	return nil
}

// dataSize is the length of the file behind the meta frame.
func (m *Manifest) dataSize() int64 {
	if len(m.Frames) == 0 {
		return 0
	}
	last := m.Frames[len(m.Frames)-1]
	return last.Offset + last.Size
}

func isSHA256(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// canonicalList is the sorted copy without duplicates that manifests hold, each
// text as it prints. What cannot be parsed stays, for validate to complain.
func canonicalList(list []string, canonical func(string) (string, error)) []string {
	list = slices.Clone(list)
	for i, text := range list {
		if c, err := canonical(text); err == nil {
			list[i] = c
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func canonicalDependency(s string) (string, error) {
	d, err := version.ParseDependency(s)
	return d.String(), err
}

func canonicalProvide(s string) (string, error) {
	p, err := version.ParseProvide(s)
	return p.String(), err
}
