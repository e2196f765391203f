package tuf

import "github.com/theupdateframework/go-tuf/v2/metadata"

// MaxSize is the most bytes that metadata of a role may have when no signed
// length says so. They are the values of the TUF reference clients; the package
// index is a target and has its own, signed, length.
var MaxSize = map[string]int64{
	metadata.ROOT:      512_000,
	metadata.TIMESTAMP: 16_384,
	metadata.SNAPSHOT:  2_000_000,
	metadata.TARGETS:   5_000_000,
}

// MaxRootRotations is how many new roots one refresh walks.
const MaxRootRotations = 64

// MaxVersion bounds version numbers, so that a stolen online key cannot push a
// counter to where it overflows.
const MaxVersion = 1 << 40

const (
	maxDepth = 16
	maxNodes = 500_000
)
