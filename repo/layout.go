package repo

import (
	"fmt"
	"path"
	"regexp"
)

// Folders of a repository. Everything else at its top is private to the
// publisher and is never served.
const (
	metadataDir   = "metadata"
	indexDir      = "index"
	keyringDir    = "keyring"
	advisoriesDir = "advisories"
	poolDir       = "pool"

	privateDir = ".ashlar" // configuration, lock and what is added but not yet published
)

// served lists the folders that clients may read.
var served = []string{metadataDir, indexDir, keyringDir, advisoriesDir, poolDir}

// KeyringTarget is the TUF target that holds the packager keys.
const KeyringTarget = keyringDir + "/packagers.pgp"

// DefaultChannel is the channel used where none is named.
const DefaultChannel = "stable"

// IndexTarget is the TUF target that holds a channel's packages of an arch.
func IndexTarget(channel, arch string) string {
	return fmt.Sprintf("%s/%s.%s.zst", indexDir, channel, arch)
}

// ParseIndexTarget takes the name of an index target apart; ok is false for
// other targets.
func ParseIndexTarget(name string) (channel, arch string, ok bool) { return parseIndexTarget(name) }

// TargetPath is the file of a target: consistent snapshots put the hash before
// the last part of its name.
func TargetPath(target, sha256 string) string {
	dir, base := path.Split(target)
	return dir + sha256 + "." + base
}

// TimestampPath is the one file that changes under its name.
const TimestampPath = metadataDir + "/timestamp.json"

// MetadataPath is the file of a version of a role.
func MetadataPath(role string, version int64) string {
	return fmt.Sprintf("%s/%d.%s.json", metadataDir, version, role)
}

// Names that become parts of file names.
var (
	channelName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
	archName    = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)
)
