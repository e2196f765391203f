package source

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"strings"

	"ashlar/pkgtool/build/source/git"
	"ashlar/pkgtool/fault"
)

// Source is one pinned input: exactly one of SHA256 and H1 is set, and one of
// URIs and Git.
type Source struct {
	ID     string      // name in messages; "" takes the file's name
	URIs   []string    // tried in order; all give the same bytes
	Git    *git.Commit // a commit, of which SHA256 is the archive's
	SHA256 string      // lower-case hex, of the file
	Size   int64       // in bytes; 0 means not known
	H1     string      // "h1:..." of a gomod: source
	Base   string      // folder that relative files start from; "" takes the fetcher's

	Signature *Signature // upstream's, checked besides the sum; nil asks for none
}

// Name is what messages call the source.
func (s Source) Name() string {
	base := ""
	if s.Git != nil {
		base = strings.TrimSuffix(path.Base(Redact(s.Git.URL)), ".git")
	} else if len(s.URIs) > 0 {
		base = Redact(s.URIs[0])
		if module, ok := strings.CutPrefix(base, "gomod://"); ok {
			base = module // its last element alone is often just v2
		} else {
			base = path.Base(base)
		}
	}
	switch {
	case s.ID == "":
		return base
	case base == "":
		return s.ID
	}
	return s.ID + " (" + base + ")"
}

// Check says what is wrong with the source as written; of class fault.Usage.
func (s Source) Check() error {
	err := s.check()
	if err != nil {
		err = fault.Mark(fmt.Errorf("source %s: %w", s.Name(), err), fault.Usage, "")
	}
	return err
}

func (s Source) check() error {
	if len(s.URIs) == 0 && s.Git == nil {
		return fmt.Errorf("has no URI")
	}
	if s.Git != nil {
		if len(s.URIs) > 0 || s.H1 != "" {
			return fmt.Errorf("a git source has neither URIs nor an h1 sum")
		}
		if err := s.Git.Check(); err != nil {
			return err
		}
	}
	if s.Size < 0 {
		return fmt.Errorf("size %d is negative", s.Size)
	}
	if (s.SHA256 == "") == (s.H1 == "") {
		return fmt.Errorf("needs exactly one of sha256 and h1; a source without a sum is not fetched")
	}
	if s.SHA256 != "" && !validSHA256(s.SHA256) {
		return fmt.Errorf("sha256 %.80q is not 64 lower-case hex digits", s.SHA256)
	}
	if _, ok := h1Key(s.H1); s.H1 != "" && !ok {
		return fmt.Errorf("h1 %.80q is not a Go module sum", s.H1)
	}
	for _, uri := range s.URIs {
		if s.H1 != "" && !strings.HasPrefix(uri, "gomod:") {
			return fmt.Errorf("an h1 sum is for gomod: sources, not for %s", Redact(uri))
		}
	}
	return nil
}

func validSHA256(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == 32 && strings.ToLower(s) == s
}

// h1Key turns "h1:<base64>" into the hex name it has in the cache.
func h1Key(h1 string) (string, bool) {
	text, ok := strings.CutPrefix(h1, "h1:")
	raw, err := base64.StdEncoding.DecodeString(text)
	return hex.EncodeToString(raw), ok && err == nil && len(raw) == 32
}

// cachePath is the file's place below the cache folder.
func (s Source) cachePath() string {
	if s.SHA256 != "" {
		return "sources/sha256/" + s.SHA256
	}
	key, _ := h1Key(s.H1)
	return "sources/h1/" + key
}

// Redact returns uri without user, password, query values and control
// characters: what may be shown.
func Redact(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "(a URI that cannot be parsed)"
	}
	if u.User != nil {
		u.User = url.User("...")
	}
	if u.RawQuery != "" {
		u.RawQuery = "..."
	}
	if u.Scheme != "gomod" {
		u.Fragment = ""
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return '?'
		}
		return r
	}, u.String())
}
