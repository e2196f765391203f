package tuf

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Check refuses metadata of role that the library must not be shown.
func Check(role string, data []byte) error {
	if max := MaxSize[role]; int64(len(data)) > max {
		return refuse(Tampered, "%s metadata of %d bytes is over the limit of %d", role, len(data), max)
	}
	if err := checkJSON(data); err != nil {
		return refuse(Tampered, "%s metadata: %w", role, err)
	}
	var m struct {
		Signed struct {
			Type    string                     `json:"_type"`
			Version int64                      `json:"version"`
			Meta    map[string]json.RawMessage `json:"meta"`
			Roles   map[string]json.RawMessage `json:"roles"`
			Keys    map[string]metadata.Key    `json:"keys"`
		} `json:"signed"`
		Signatures []json.RawMessage `json:"signatures"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return refuse(Tampered, "%s metadata: %w", role, err)
	}
	switch {
	case m.Signed.Type != role:
		return refuse(Tampered, "expected %s metadata, got type %.40q", role, m.Signed.Type)
	case m.Signed.Version < 1 || m.Signed.Version > MaxVersion:
		return refuse(Tampered, "%s metadata has version %d, outside 1 to %d", role, m.Signed.Version, int64(MaxVersion))
	case len(m.Signatures) == 0:
		return refuse(Unsigned, "%s metadata carries no signature", role)
	}
	if need, ok := map[string]string{metadata.TIMESTAMP: "snapshot.json", metadata.SNAPSHOT: "targets.json"}[role]; ok {
		if m.Signed.Meta[need] == nil {
			return refuse(Tampered, "%s metadata does not list %s", role, need)
		}
	}
	if role == metadata.ROOT {
		for _, r := range metadata.TOP_LEVEL_ROLE_NAMES {
			if m.Signed.Roles[r] == nil {
				return refuse(Tampered, "root metadata has no role %s", r)
			}
		}
		for id, key := range m.Signed.Keys {
			// crypto/ed25519 panics on a key of another length.
			if key.Type == metadata.KeyTypeEd25519 && len(key.Value.PublicKey) != 2*ed25519.PublicKeySize {
				return refuse(Tampered, "root metadata: key %.80q is not an Ed25519 key", id)
			}
		}
	}
	return nil
}

// checkJSON wants one JSON document without null, without an object naming a
// key twice (in any case: encoding/json would merge them), of bounded depth.
func checkJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var open []frame
	for nodes := 0; ; nodes++ {
		tok, err := dec.Token()
		if err != nil {
			return fmt.Errorf("not JSON: %w", unexpected(err))
		}
		if nodes > maxNodes {
			return fmt.Errorf("more than %d JSON values", maxNodes)
		}
		switch t := tok.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				if len(open) == maxDepth {
					return fmt.Errorf("nested deeper than %d", maxDepth)
				}
				open = append(open, frame{object: t == '{', wantKey: t == '{', keys: map[string]bool{}})
				continue
			}
			open = open[:len(open)-1]
		case string:
			if top := len(open) - 1; top >= 0 && open[top].wantKey {
				if err := open[top].key(t); err != nil {
					return err
				}
				continue
			}
		case nil:
			return errors.New("null is not a value of this format")
		}
		if len(open) == 0 {
			break
		}
		open[len(open)-1].wantKey = open[len(open)-1].object
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("data after the end of the document")
	}
	return nil
}

// frame is an object or array that the scan is inside of.
type frame struct {
	object, wantKey bool
	keys            map[string]bool
}

func (f *frame) key(k string) error {
	folded := strings.ToLower(k)
	if f.keys[folded] {
		return fmt.Errorf("key %.60q appears twice", k)
	}
	f.keys[folded] = true
	f.wantKey = false
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
