package repo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo/tuf"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Draft is root or targets metadata that waits for signatures by keys that are
// elsewhere. Its file says all that a person with such a key must know, so it
// can be carried to a machine without a network, signed there, and brought back.
// The format is specified in docs/formats/repository.md.
type Draft struct {
	Repository string
	Role       string // root or targets

	// roots are those under which it must hold: the first one decides, a second
	// one should be satisfied too if its keys are still there.
	roots       []*metadata.Metadata[metadata.RootType]
	root        *metadata.Metadata[metadata.RootType]    // the draft, if of that role
	targets     *metadata.Metadata[metadata.TargetsType] // or this
	oldTargets  *metadata.Metadata[metadata.TargetsType] // in force now; nil if none
	packagers   []byte                                   // the keyring that targets names
	oldPackager []byte                                   // and the one in force
}

// draftFile is its form on disk.
type draftFile struct {
	Format     int               `json:"ashlar_signing"`
	Repository string            `json:"repository"`
	Role       string            `json:"role"`
	Roots      []json.RawMessage `json:"roots"`
	Before     json.RawMessage   `json:"before,omitempty"`
	Packagers  string            `json:"packagers,omitempty"`
	OldPackers string            `json:"packagers_before,omitempty"`
	Draft      json.RawMessage   `json:"draft"`
}

const maxDraft = 16 << 20

// OpenDraft reads a file that waits for signatures. It proves that the roots in
// it are signed by their own keys, and that the rest fits them; whose keys they
// are, only the one who signs can know.
func OpenDraft(path string) (*Draft, error) {
	data, err := readBounded(path, maxDraft)
	if err != nil {
		return nil, err
	}
	d, err := parseDraft(data)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Security, "copy the file from .ashlar/signing of the repository once more")
	}
	return d, nil
}

func parseDraft(data []byte) (*Draft, error) {
	var f draftFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("not a file to sign: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("data after the end of the document")
	}
	if f.Format != 1 || !repositoryName.MatchString(f.Repository) || len(f.Roots) < 1 || len(f.Roots) > 2 {
		return nil, errors.New("not a file to sign, or one of a later version of this program")
	}
	d := &Draft{Repository: f.Repository, Role: f.Role, packagers: []byte(f.Packagers), oldPackager: []byte(f.OldPackers)}
	for _, raw := range f.Roots {
		root, err := parseUnsigned(metadata.ROOT, raw, metadata.Root())
		if err != nil {
			return nil, err
		}
		if err := root.VerifyDelegate(metadata.ROOT, root); err != nil {
			return nil, tuf.Translate(err)
		}
		d.roots = append(d.roots, root)
	}
	var err error
	switch f.Role {
	case metadata.ROOT:
		if d.root, err = parseUnsigned(f.Role, f.Draft, metadata.Root()); err != nil {
			return nil, err
		}
		if have := d.roots[0].Signed.Version; d.root.Signed.Version != have+1 {
			return nil, fmt.Errorf("root version %d does not follow version %d", d.root.Signed.Version, have)
		}
	case metadata.TARGETS:
		if err := d.parseTargets(f); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("role %.40q is not signed this way", f.Role)
	}
	for _, root := range append(slices.Clone(d.roots), d.root) {
		if root != nil && root.Signed.UnrecognizedFields[repositoryField] != f.Repository {
			return nil, fmt.Errorf("root version %d is not of repository %s", root.Signed.Version, f.Repository)
		}
	}
	return d, nil
}

func (d *Draft) parseTargets(f draftFile) (err error) {
	if d.targets, err = parseUnsigned(f.Role, f.Draft, metadata.Targets()); err != nil {
		return err
	}
	if f.Before != nil {
		if d.oldTargets, err = parseUnsigned(f.Role, f.Before, metadata.Targets()); err != nil {
			return err
		}
		if !slices.ContainsFunc(d.roots, func(r *metadata.Metadata[metadata.RootType]) bool {
			return thresholdMet(r, metadata.TARGETS, d.oldTargets)
		}) {
			return errors.New("what it says is in force is not signed")
		}
		if d.targets.Signed.Version <= d.oldTargets.Signed.Version {
			return fmt.Errorf("targets version %d does not follow version %d", d.targets.Signed.Version, d.oldTargets.Signed.Version)
		}
	}
	for _, pair := range []struct {
		m       *metadata.Metadata[metadata.TargetsType]
		keyring []byte
	}{{d.targets, d.packagers}, {d.oldTargets, d.oldPackager}} {
		if pair.m == nil {
			continue
		}
		t := pair.m.Signed.Targets[KeyringTarget]
		if t == nil || t.VerifyLengthHashes(pair.keyring) != nil {
			return errors.New("the packagers' keys in it are not those that the metadata names")
		}
	}
	return nil
}

// parseUnsigned reads metadata that may lack signatures yet.
func parseUnsigned[T metadata.Roles](role string, raw []byte, into *metadata.Metadata[T]) (*metadata.Metadata[T], error) {
	err := tuf.Check(role, raw)
	if tuf.KindOf(err) == tuf.Unsigned {
		// All else that Check looks at must be looked at.
		var m struct {
			Signed json.RawMessage `json:"signed"`
		}
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, err
		}
		filled, err := json.Marshal(map[string]any{"signed": m.Signed, "signatures": []map[string]string{{"keyid": "00", "sig": "00"}}})
		if err != nil {
			return nil, err
		}
		if err := tuf.Check(role, filled); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	m, err := into.FromBytes(raw)
	if err != nil {
		return nil, tuf.Translate(err)
	}
	return m, nil
}

// file is the draft as it is written.
func (d *Draft) file() ([]byte, error) {
	f := draftFile{Format: 1, Repository: d.Repository, Role: d.Role, Packagers: string(d.packagers), OldPackers: string(d.oldPackager)}
	for _, root := range d.roots {
		raw, err := encode(root)
		if err != nil {
			return nil, err
		}
		f.Roots = append(f.Roots, raw)
	}
	var err error
	if d.oldTargets != nil {
		if f.Before, err = encode(d.oldTargets); err != nil {
			return nil, err
		}
	}
	if f.Draft, err = d.metadata(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(f, "", " ")
	return append(data, '\n'), err
}

// metadata is the file that the draft is to become.
func (d *Draft) metadata() ([]byte, error) {
	if d.Role == metadata.ROOT {
		return encode(d.root)
	}
	return encode(d.targets)
}

// Write replaces the draft's file at path.
func (d *Draft) Write(path string) error {
	data, err := d.file()
	if err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o644)
}

// content identifies what is to be signed.
func (d *Draft) content() string {
	var signed any = d.targets
	if d.Role == metadata.ROOT {
		signed = d.root.Signed
	} else {
		signed = d.targets.Signed
	}
	canonical, err := cjson.EncodeCanonical(signed)
	if err != nil {
		return "" // of nothing that was parsed
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// under are the roots under which the draft must hold before it is published,
// with words for their keys.
func (d *Draft) under() map[string]*metadata.Metadata[metadata.RootType] {
	if d.Role == metadata.ROOT {
		return map[string]*metadata.Metadata[metadata.RootType]{"in force": d.roots[0], "to come": d.root}
	}
	return map[string]*metadata.Metadata[metadata.RootType]{"": d.roots[0]}
}

// Need is what a draft lacks.
type Need struct {
	Role       string   `json:"role"`
	Which      string   `json:"which,omitempty"` // "in force" or "to come" when root keys change
	Signatures int      `json:"signatures"`      // how many more
	Keys       []string `json:"keys"`            // ids of which they may be
}

// Needs lists what is missing; nothing if the draft can be published.
func (d *Draft) Needs() []Need {
	needs := []Need{}
	under := d.under()
	for _, which := range []string{"", "in force", "to come"} {
		root := under[which]
		if root == nil {
			continue
		}
		role := root.Signed.Roles[d.Role]
		n := Need{Role: d.Role, Which: which, Signatures: role.Threshold, Keys: []string{}}
		for _, id := range role.KeyIDs {
			if d.signedBy(root, id) {
				n.Signatures--
			} else {
				n.Keys = append(n.Keys, id)
			}
		}
		if n.Signatures > 0 {
			needs = append(needs, n)
		}
	}
	return needs
}

// signedBy reports whether the draft bears a good signature by one key of root.
func (d *Draft) signedBy(root *metadata.Metadata[metadata.RootType], id string) bool {
	alone := *root
	alone.Signed.Roles = map[string]*metadata.Role{d.Role: {KeyIDs: []string{id}, Threshold: 1}}
	if d.Role == metadata.ROOT {
		return alone.VerifyDelegate(d.Role, d.root) == nil
	}
	return alone.VerifyDelegate(d.Role, d.targets) == nil
}

// signers are the ids of all keys whose signature helps.
func (d *Draft) signers() []string {
	var ids []string
	roots := d.roots
	if d.root != nil {
		roots = append(slices.Clone(roots), d.root)
	}
	for _, root := range roots {
		for _, id := range root.Signed.Roles[d.Role].KeyIDs {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func (d *Draft) addSignatures(held heldKeys) error {
	if d.Role == metadata.ROOT {
		return addSignatures(d.root, held, d.signers())
	}
	return addSignatures(d.targets, held, d.signers())
}

// addSignatures signs m with the keys at hand among ids and keeps what others
// of these signed.
func addSignatures[T metadata.Roles](m *metadata.Metadata[T], held heldKeys, ids []string) error {
	kept := slices.DeleteFunc(slices.Clone(m.Signatures), func(s metadata.Signature) bool {
		return held.find(s.KeyID) != nil || !slices.Contains(ids, s.KeyID)
	})
	if _, err := signWith(m, held, ids); err != nil {
		return err
	}
	m.Signatures = append(m.Signatures, kept...)
	_, err := encode(m) // sorts them
	return err
}

// Sign signs with the given keys and returns the ids of those that the draft
// can use. The error is fs.ErrNotExist if it can use none.
func (d *Draft) Sign(keys ...*RoleKey) ([]string, error) {
	var held heldKeys
	var used []string
	for _, k := range keys {
		if k.Private() && slices.Contains(d.signers(), k.ID) && !slices.Contains(used, k.ID) {
			held = append(held, heldKey{k.ID, k.file, k.private})
			used = append(used, k.ID)
		}
	}
	if len(used) == 0 {
		return nil, errNoKeyFor(d)
	}
	return used, d.addSignatures(held)
}

// merge takes over the signatures of the same content in other.
func (d *Draft) merge(other *Draft) {
	add := func(have, more []metadata.Signature) []metadata.Signature {
		for _, s := range more {
			if !slices.ContainsFunc(have, func(h metadata.Signature) bool { return h.KeyID == s.KeyID }) {
				have = append(have, s)
			}
		}
		return have
	}
	if d.Role == metadata.ROOT {
		d.root.Signatures = add(d.root.Signatures, other.root.Signatures)
	} else {
		d.targets.Signatures = add(d.targets.Signatures, other.targets.Signatures)
	}
}
