package pkgfile

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	manifestMember  = ".pkg/manifest.json"
	signatureFolder = ".pkg/sig/"
	maxSignature    = 64 << 10
	maxSignatures   = 16
)

var fingerprintForm = regexp.MustCompile(`^[0-9A-F]{40}$`)

// encodeMeta makes the meta frame: the manifest, then the signatures in the
// order of their fingerprints, as tar members of time 0.
func encodeMeta(kind codec, manifest []byte, signatures map[string][]byte) ([]byte, error) {
	if len(manifest) > maxManifest {
		return nil, fmt.Errorf("manifest of %d bytes, more than the %d allowed; split the package", len(manifest), maxManifest)
	}
	if len(signatures) > maxSignatures {
		return nil, fmt.Errorf("%d signatures, more than the %d allowed", len(signatures), maxSignatures)
	}
	var members bytes.Buffer
	add := func(name string, content []byte) {
		members.Write(metaHeader(name, int64(len(content))))
		members.Write(content)
		members.Write(make([]byte, padding(int64(len(content)))))
	}
	add(manifestMember, manifest)
	for _, fpr := range sortedKeys(signatures) {
		if len(signatures[fpr]) > maxSignature {
			return nil, fmt.Errorf("signature of %d bytes, more than the %d allowed", len(signatures[fpr]), maxSignature)
		}
		add(signatureFolder+fpr, signatures[fpr])
	}
	c, err := kind.compressor(0)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.compress(members.Bytes())
}

func metaHeader(name string, size int64) []byte {
	h := ustar(name, '0', 0o644, size, 0, "", "root", "root")
	return h[:]
}

// decodeMeta reads the members of a decompressed meta frame.
func decodeMeta(b []byte) (manifest []byte, signatures map[string][]byte, err error) {
	signatures = map[string][]byte{}
	last := ""
	for n := 0; len(b) > 0; n++ {
		name, content, rest, err := metaMember(b)
		if err != nil {
			return nil, nil, err
		}
		b = rest
		fpr, isSignature := strings.CutPrefix(name, signatureFolder)
		switch {
		case n == 0 && name == manifestMember && len(content) <= maxManifest:
			manifest = content
		case n > 0 && isSignature && fingerprintForm.MatchString(fpr) && fpr > last &&
			len(content) <= maxSignature && n <= maxSignatures:
			signatures[fpr] = content
			last = fpr
		default:
			return nil, nil, fmt.Errorf("meta frame: unexpected member %.200q", name)
		}
	}
	if manifest == nil {
		return nil, nil, errors.New("meta frame: no manifest")
	}
	return manifest, signatures, nil
}

// metaMember reads one tar member by making the only header its name and size
// can have.
func metaMember(b []byte) (name string, content, rest []byte, err error) {
	if len(b) < tarBlock {
		return "", nil, nil, errors.New("meta frame: truncated member")
	}
	name, _, _ = strings.Cut(string(b[:100]), "\x00")
	size, err := strconv.ParseInt(string(b[124:135]), 8, 64)
	if err != nil || size < 0 || size > int64(len(b)) {
		return "", nil, nil, fmt.Errorf("meta frame: member %.200q: impossible size", name)
	}
	if !bytes.Equal(b[:tarBlock], metaHeader(name, size)) {
		return "", nil, nil, fmt.Errorf("meta frame: member %.200q: a header no package has", name)
	}
	end := tarBlock + size + padding(size)
	if end > int64(len(b)) || !allZero(b[tarBlock+size:end]) {
		return "", nil, nil, fmt.Errorf("meta frame: member %.200q: truncated or wrongly padded", name)
	}
	return name, b[tarBlock : tarBlock+size], b[end:], nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func sortedKeys(m map[string][]byte) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
