package repo

import (
	"path"
	"regexp"
)

// ContentType is the media type under which a file of a repository is served.
func ContentType(name string) string {
	switch path.Ext(name) {
	case ".json":
		return "application/json"
	case ".zst", ".ashlar":
		return "application/zstd"
	case ".pgp":
		return "application/pgp-keys"
	}
	return "application/octet-stream"
}

// hashedName is a file that is named by its content; versionedMetadata is
// written once. That a root is absent must not be kept in caches, so that roots
// are no part of it.
var (
	hashedName        = regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{64})\.`)
	versionedMetadata = regexp.MustCompile(`^[0-9]+\.(snapshot|targets)\.json$`)
)

// CacheControl is the header of that name with which a file of a repository is
// served.
func CacheControl(name string) string {
	base := path.Base(name)
	if hashedName.MatchString(base) || versionedMetadata.MatchString(base) {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}
