package recipe

import (
	"net/url"
	slashpath "path"
	"strings"

	"ashlar/pkgtool/build/source/git"
)

// GitCommit is what a git source takes; nil for other sources.
func (s *Source) GitCommit() *git.Commit {
	if s.Git == "" {
		return nil
	}
	return &git.Commit{URL: s.Git, ID: s.Commit, Ref: s.Ref, Submodules: s.Submodules}
}

// Places are the addresses of the source's bytes: its urls, or of a git source
// git+URL@COMMIT.
func (s *Source) Places() []string {
	if s.Git != "" {
		return []string{"git+" + s.Git + "@" + s.Commit}
	}
	return s.URLs
}

// FileName is what the source's file is called where it is not unpacked.
func (s *Source) FileName() string {
	if s.Git != "" {
		return strings.TrimSuffix(baseName(s.Git), ".git") + "-" + s.Commit + ".tar"
	}
	return baseName(s.URLs[0])
}

// baseName is the file name at the end of an address.
func baseName(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Path != "" {
		raw = u.Path
	}
	return slashpath.Base(raw)
}

func (r *Recipe) validateGit(s *Source, at path, p *problems) {
	switch {
	case s.Commit == "":
		p.add(at, "a git source needs its commit, the full id; a branch or tag goes into ref and is only the way to it")
	case s.SHA256 == "":
		p.add(at, "a git source needs the sha256 of its archive; pkgtool source pin --git %s --commit %s prints it", s.Git, s.Commit)
	case !hexDigest.MatchString(s.SHA256):
		p.add(at.with("sha256"), "%.80q is not 64 hexadecimal digits in lower case", s.SHA256)
	default:
		if err := s.GitCommit().Check(); err != nil {
			p.add(at.with("git"), "%v", err)
		}
	}
	if strings.HasPrefix(s.Git, "http:") {
		p.add(at.with("git"), "%q: use https://", s.Git)
	}
	if s.H1 != "" || s.Include != nil || s.Exclude != nil {
		p.add(at, "h1, include and exclude do not belong to a git source")
	}
}

// validateSignature checks the keys that only some kinds of sources have.
func (r *Recipe) validateSignature(s *Source, at path, p *problems) {
	if s.Git == "" && (s.Commit != "" || s.Ref != "" || s.Submodules) {
		p.add(at, "commit, ref and submodules belong to a git source")
	}
	if s.Signature == nil {
		return
	}
	at = at.with("signature")
	if len(s.URLs) == 0 || s.SHA256 == "" {
		p.add(at, "a signature belongs to a source with urls and sha256")
	}
	switch u, err := url.Parse(s.Signature.URL); {
	case err != nil:
		p.add(at.with("url"), "%v", err)
	case s.Signature.URL == "":
		p.add(at, "a signature needs its url, or the name of a file of the recipe's folder")
	case u.Scheme == "":
		r.checkFile(at.with("url"), s.Signature.URL, p)
	case u.Scheme != "mirror" && u.Scheme != "https":
		p.add(at.with("url"), "%q: use mirror://, https:// or a file of the recipe's folder", u.Redacted())
	case u.Host == "" || u.User != nil:
		p.add(at.with("url"), "%q has no host, or a password in it", u.Redacted())
	}
	if len(s.Signature.Keys) == 0 {
		p.add(at, "a signature needs keys: files of the recipe's folder with the public keys that may have made it")
	}
	for i, key := range s.Signature.Keys {
		r.checkFile(at.with("keys", i), key, p)
	}
}
