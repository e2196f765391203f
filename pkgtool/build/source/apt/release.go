package apt

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"ashlar/pkgtool/fault"
)

// Release is the verified content of an archive's InRelease file.
type Release struct {
	Origin, Suite, Codename, Version string
	Date                             time.Time
	Files                            map[string]File // by path below the suite's folder
}

// File is what an index says about one file.
type File struct {
	SHA256 string // lower-case hex
	Size   int64
}

// ReadKeyring reads the OpenPGP keys of one binary or armored keyring file.
func ReadKeyring(path string) (openpgp.EntityList, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if keys, err := openpgp.ReadKeyRing(bytes.NewReader(data)); err == nil {
		return keys, nil
	}
	return openpgp.ReadArmoredKeyRing(bytes.NewReader(data))
}

// VerifyRelease checks the clear-signed data against keys and returns what was
// signed, and nothing else of data. Errors are of class fault.Security.
func VerifyRelease(data []byte, keys openpgp.EntityList, now time.Time) (*Release, error) {
	block, rest := clearsign.Decode(data)
	if block == nil {
		return nil, fault.Errorf(fault.Security, "not a signed release file")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, fault.Errorf(fault.Security, "text after the signature of the release file")
	}
	signature, err := io.ReadAll(block.ArmoredSignature.Body)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("read signature: %w", err), fault.Security, "")
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	if _, err := openpgp.CheckDetachedSignature(keys, bytes.NewReader(block.Bytes), bytes.NewReader(signature), config); err != nil {
		return nil, fault.Mark(fmt.Errorf("signature of the release file: %w", err), fault.Security,
			"install or update the host's debian-archive-keyring")
	}
	return parseRelease(block.Plaintext, now)
}

func parseRelease(text []byte, now time.Time) (*Release, error) {
	var release *Release
	err := Stanzas(bytes.NewReader(text), func(s Stanza) error {
		if release != nil {
			return fmt.Errorf("more than one paragraph")
		}
		date, err := time.Parse(time.RFC1123, s["Date"])
		if err != nil {
			return fmt.Errorf("date: %w", err)
		}
		if until := s["Valid-Until"]; until != "" {
			end, err := time.Parse(time.RFC1123, until)
			if err != nil {
				return fmt.Errorf("valid-until: %w", err)
			}
			if now.After(end) {
				return fault.Errorf(fault.Security, "expired on %s; the mirror is out of date", until)
			}
		}
		release = &Release{Origin: s["Origin"], Suite: s["Suite"], Codename: s["Codename"],
			Version: s["Version"], Date: date.UTC(), Files: map[string]File{}}
		for _, line := range lines(s["SHA256"]) {
			fields := strings.Fields(line)
			if len(fields) != 3 {
				return fmt.Errorf("bad SHA256 line %.80q", line)
			}
			f, err := parseFile(fields[0], fields[1])
			if err != nil {
				return err
			}
			release.Files[fields[2]] = f
		}
		return nil
	})
	if err == nil && release == nil {
		err = fmt.Errorf("empty")
	}
	if err != nil {
		return nil, fmt.Errorf("release file: %w", err)
	}
	return release, nil
}

func parseFile(sum, size string) (File, error) {
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 || strings.ToLower(sum) != sum {
		return File{}, fmt.Errorf("%.80q is not a SHA-256 sum", sum)
	}
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 {
		return File{}, fmt.Errorf("%.40q is not a size", size)
	}
	return File{SHA256: sum, Size: n}, nil
}
