package draft

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/build/source/apt"
	"ashlar/pkgtool/fault"
)

// Options say how [From] works.
type Options struct {
	Fetcher  *source.Fetcher
	Progress source.Progress        // may be nil
	Suite    string                 // of debian:NAME; "" is bookworm
	Name     string                 // of the recipe; "" takes it from the archive
	Version  string                 // upstream's; "" takes it from the archive
	URL      string                 // where a file on this machine came from; "" keeps it in the recipe's folder
	Has      func(name string) bool // whether there is such a package
}

// DefaultSuite is the Debian suite whose sources are taken where none is named.
const DefaultSuite = "bookworm"

// From fetches an archive and makes a draft of it. what is an address, the
// name of a file, or debian:NAME for the newest source package of a Debian
// suite, which comes with sums that Debian signed. keep is the file to copy
// into the recipe's folder, or "".
func From(ctx context.Context, what string, o Options) (d *Draft, keep string, err error) {
	work, err := os.MkdirTemp("", "recipe-draft-")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(work)
	in := Input{Dir: filepath.Join(work, "archive"), Name: o.Name, Version: o.Version, Has: o.Has, Latest: time.Now()}
	var more []Source
	var file string
	if name, ok := strings.CutPrefix(what, "debian:"); ok {
		if file, more, err = fromDebian(ctx, name, o, &in, work); err != nil {
			return nil, "", err
		}
	} else {
		if file, keep, err = fromAddress(ctx, what, o, &in); err != nil {
			return nil, "", err
		}
	}
	if err := source.Unpack(ctx, file, in.Dir, 0); err != nil {
		return nil, "", fault.Mark(err, fault.Usage, "give a tar or zip archive with the sources")
	}
	d, err = Inspect(in)
	if err != nil {
		return nil, "", fault.Mark(err, fault.Usage, "give the name with --name")
	}
	for _, s := range more {
		s.URL = withVersion(s.URL, d.UpstreamVersion())
		d.Sources = append(d.Sources, s)
	}
	return d, keep, nil
}

// fromAddress fetches from an address or takes a file.
func fromAddress(ctx context.Context, what string, o Options, in *Input) (file, keep string, err error) {
	uri := what
	if !strings.Contains(what, "://") {
		if uri, err = filepath.Abs(what); err != nil {
			return "", "", err
		}
		if _, err := os.Stat(uri); err != nil {
			return "", "", fault.Mark(err, fault.Usage, "give an address, the name of an archive, or debian:NAME")
		}
		in.URL = o.URL
		if in.URL == "" {
			in.URL, keep = filepath.Base(uri), uri
		}
	} else if in.URL = what; strings.HasPrefix(what, "http:") {
		return "", "", fault.Mark(fmt.Errorf("%s is not encrypted: what comes could be anybody's, and a recipe takes no such address", source.Redact(what)), fault.Usage, "use https:")
	}
	file, pinned, err := o.Fetcher.First(ctx, uri, o.Progress)
	in.SHA256, in.Size = pinned.SHA256, pinned.Size
	return file, keep, err
}

// fromDebian finds the original archives of a source package, and reads what
// Debian says about it.
func fromDebian(ctx context.Context, name string, o Options, in *Input, work string) (file string, more []Source, err error) {
	suite := o.Suite
	if suite == "" {
		suite = DefaultSuite
	}
	archive, err := source.OpenDebian(ctx, o.Fetcher, suite)
	if err != nil {
		return "", nil, err
	}
	found, err := archive.Find(ctx, name, o.Progress)
	if err != nil {
		return "", nil, err
	}
	newest := found[len(found)-1]
	if in.Version == "" {
		in.Version = DebianUpstream(newest.Version)
	}
	if in.Name == "" {
		in.Name = packageName(name)
	}
	for _, f := range newest.Files {
		uri := "mirror://debian/" + f.Path
		fetch := func() (string, error) {
			return o.Fetcher.Fetch(ctx, source.Source{URIs: []string{uri}, SHA256: f.File.SHA256, Size: f.File.Size}, o.Progress)
		}
		switch kind, component := DebianFile(f.Path); {
		case kind == "orig" && component == "":
			in.URL, in.SHA256, in.Size = uri, f.File.SHA256, f.File.Size
			if file, err = fetch(); err != nil {
				return "", nil, err
			}
		case kind == "orig":
			more = append(more, Source{ID: component, URL: uri, SHA256: f.File.SHA256, Size: f.File.Size, Into: component})
		case kind == "debian":
			path, err := fetch()
			if err != nil {
				return "", nil, err
			}
			if err := readControl(ctx, path, filepath.Join(work, "debian"), in); err != nil {
				return "", nil, err
			}
		}
	}
	if file == "" {
		return "", nil, fault.Errorf(fault.Usage, "the Debian source package %s %s has no original archive; it is Debian's own", name, newest.Version)
	}
	return file, more, nil
}

// DebianUpstream is upstream's version in a version of Debian: without epoch
// and Debian's revision.
func DebianUpstream(version string) string {
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	if at := strings.LastIndexByte(version, '-'); at > 0 {
		version = version[:at]
	}
	return version
}

// DebianFile says what a file of a source package is: orig (with the name of
// the component, where there are several), debian (what Debian adds), or "".
func DebianFile(name string) (kind, component string) {
	base := path.Base(name)
	if strings.HasSuffix(base, ".asc") {
		return "", ""
	}
	if _, rest, ok := strings.Cut(base, ".orig"); ok {
		component, _, _ := strings.Cut(rest, ".tar")
		return "orig", strings.TrimPrefix(component, "-")
	}
	if strings.Contains(base, ".debian.tar") {
		return "debian", ""
	}
	return "", ""
}

// readControl takes summary, homepage and libraries from debian/control.
func readControl(ctx context.Context, archive, dir string, in *Input) error {
	if err := source.Unpack(ctx, archive, dir, 0); err != nil {
		return err
	}
	f, err := os.OpenInRoot(dir, "debian/control")
	if err != nil {
		return nil // only a help
	}
	defer f.Close()
	best := ""
	err = apt.Stanzas(f, func(s apt.Stanza) error {
		if s["Source"] != "" {
			in.Homepage = s["Homepage"]
			for _, d := range apt.ParseDepends(s["Build-Depends"]) {
				if lib, ok := strings.CutSuffix(d[0], "-dev"); ok {
					in.Wants = append(in.Wants, lib)
				}
			}
			return nil
		}
		first, _, _ := strings.Cut(s["Description"], "\n")
		if in.Summary == "" || s["Package"] == in.Name && best != in.Name {
			in.Summary, best = shortSummary(first), s["Package"]
		}
		return nil
	})
	if err != nil {
		in.Summary = "" // a control file that apt would not read either
	}
	in.Wants = slices.Compact(slices.Sorted(slices.Values(in.Wants)))
	return nil
}

// shortSummary takes off what Debian adds to say which of several packages it is.
func shortSummary(text string) string {
	for _, mark := range []string{" - ", " (", ": "} {
		for _, kind := range []string{"runtime", "development", "shared lib", "documentation", "debug", "headers", "manual"} {
			if at := strings.LastIndex(text, mark+kind); at > 0 {
				text = text[:at]
			}
		}
	}
	if text != "" {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}
