package serve

import (
	"path"
	"regexp"
	"strings"
)

// kind says what sort of thing a path names: how long caches may keep it, and
// under which name metrics count it.
type kind int

const (
	kindTimestamp kind = iota
	kindRoot
	kindMetadata // snapshot and targets
	kindIndex
	kindKeyring
	kindAdvisories
	kindPackage
	kindWeb // everything that is not the repository's
	kinds
)

func (k kind) String() string {
	return [kinds]string{"timestamp", "root", "metadata", "index", "keyring", "advisories", "package", "web"}[k]
}

// kindOf tells the kind of a request's path from its first folder.
func kindOf(urlPath string) kind {
	folder, base, _ := strings.Cut(strings.TrimPrefix(urlPath, "/"), "/")
	if base == "" && !strings.HasSuffix(urlPath, "/") {
		return kindWeb // "/pool" is no folder of ours either
	}
	switch folder {
	case "metadata":
		switch {
		case base == "timestamp.json":
			return kindTimestamp
		case strings.HasSuffix(base, ".root.json"):
			return kindRoot
		}
		return kindMetadata
	case "index":
		return kindIndex
	case "keyring":
		return kindKeyring
	case "advisories":
		return kindAdvisories
	case "pool":
		return kindPackage
	}
	return kindWeb
}

// objectName is a file that is named by its content, which makes its name the
// validator and lets caches keep it for ever.
var objectName = regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{64})\.`)

// versionedName is metadata that is written once.
var versionedName = regexp.MustCompile(`^[0-9]+\.(snapshot|targets)\.json$`)

// Values of headers, made once: a Header's values are slices.
var (
	revalidate = []string{"no-cache"}
	forEver    = []string{"public, max-age=31536000, immutable"}
	nosniff    = []string{"nosniff"}
	bytesUnit  = []string{"bytes"}
	plainText  = []string{"text/plain; charset=utf-8"}
	closing    = []string{"close"}
	readOnly   = []string{"GET, HEAD"}
)

var contentTypes = map[string][]string{
	".json":   {"application/json"},
	".zst":    {"application/zstd"},
	".ashlar": {"application/zstd"},
	".pgp":    {"application/pgp-keys"},
	"":        {"application/octet-stream"},
}

func contentType(base string) []string {
	if t := contentTypes[path.Ext(base)]; t != nil {
		return t
	}
	return contentTypes[""]
}
