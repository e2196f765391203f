package repo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/fault"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// maxRoleKeys bounds the keys of a role, so that root metadata stays small.
const maxRoleKeys = 32

// KeyChange is a change of role keys that takes effect with the next
// publication, together with those that were asked for before it.
type KeyChange struct {
	Changes []string `json:"changes"` // in plain words, all that the next root will change
	File    string   `json:"file"`    // to be signed elsewhere, if Needs is not empty
	Needs   []Need   `json:"needs"`
	Made    string   `json:"made,omitempty"` // file of a private key that was made for it
}

// AddKey gives a role a further key; a nil key is made. A private key is kept
// among those at hand.
func (r *Repository) AddKey(ctx context.Context, role string, key *RoleKey) (*KeyChange, error) {
	return r.changeKeys(ctx, role, func(next *metadata.RootType) (_ string, err error) {
		if key == nil {
			if key, err = NewRoleKey(); err != nil {
				return "", err
			}
		}
		if slices.Contains(next.Roles[role].KeyIDs, key.ID) {
			return "", fault.Errorf(fault.Usage, "%s is a %s key already", ShortID(key.ID), role)
		}
		return r.include(next, role, key)
	})
}

// RotateKey puts a new key in the place of one of a role: of old, an id or its
// beginning, or of the role's only key if old is empty. A nil key is made. A
// private key is kept among those at hand.
func (r *Repository) RotateKey(ctx context.Context, role, old string, key *RoleKey) (*KeyChange, error) {
	return r.changeKeys(ctx, role, func(next *metadata.RootType) (string, error) {
		ids := next.Roles[role].KeyIDs
		if old == "" && len(ids) > 1 {
			return "", fault.Mark(fmt.Errorf("role %s has %d keys", role, len(ids)), fault.Usage, "say which one goes: --old ID, of "+shortIDs(ids))
		}
		out, err := matchID(ids, old)
		if err != nil {
			return "", err
		}
		if key == nil {
			if key, err = NewRoleKey(); err != nil {
				return "", err
			}
		}
		if slices.Contains(ids, key.ID) {
			return "", fault.Errorf(fault.Usage, "%s is a %s key already", ShortID(key.ID), role)
		}
		path, err := r.include(next, role, key)
		if err != nil {
			return "", err
		}
		return path, next.RevokeKey(out, role)
	})
}

// RevokeKey takes a key, named by its id or the beginning of it, out of every
// role that has it.
func (r *Repository) RevokeKey(ctx context.Context, id string) (*KeyChange, error) {
	return r.changeKeys(ctx, "", func(next *metadata.RootType) (string, error) {
		var all []string
		for known := range next.Keys {
			all = append(all, known)
		}
		out, err := matchID(all, id)
		if err != nil {
			return "", err
		}
		for _, role := range roles {
			has := next.Roles[role]
			if !slices.Contains(has.KeyIDs, out) {
				continue
			}
			if len(has.KeyIDs) <= has.Threshold {
				return "", fault.Mark(fmt.Errorf("without it %s would have %d keys and need %d", role, len(has.KeyIDs)-1, has.Threshold), fault.Usage,
					"put another one in its place: pkgtool repo key rotate DIR "+role+" --old "+ShortID(out))
			}
			if err := next.RevokeKey(out, role); err != nil {
				return "", err
			}
		}
		return "", nil
	})
}

// SetThreshold says how many keys of a role must sign.
func (r *Repository) SetThreshold(ctx context.Context, role string, n int) (*KeyChange, error) {
	return r.changeKeys(ctx, role, func(next *metadata.RootType) (string, error) {
		if have := len(next.Roles[role].KeyIDs); n < 1 || n > have {
			return "", fault.Mark(fmt.Errorf("role %s has %d keys; %d of them cannot be asked for", role, have, n), fault.Usage,
				"add keys first: pkgtool repo key add DIR "+role)
		}
		next.Roles[role].Threshold = n
		return "", nil
	})
}

// include adds a key to a role, and keeps its private half, if it has one and
// it is not there yet. It returns the file if it wrote one.
func (r *Repository) include(next *metadata.RootType, role string, key *RoleKey) (string, error) {
	public, id, err := key.tuf()
	if err != nil {
		return "", err
	}
	for _, other := range roles {
		if other != role && slices.Contains(next.Roles[other].KeyIDs, id) {
			return "", fault.Mark(fmt.Errorf("%s is the %s key", ShortID(id), other), fault.Usage, "use a key of its own for each role")
		}
	}
	if len(next.Roles[role].KeyIDs) >= maxRoleKeys {
		return "", fault.Mark(fmt.Errorf("role %s has %d keys, which is the most", role, maxRoleKeys), fault.Usage, "revoke one first")
	}
	if err := next.AddKey(public, role); err != nil {
		return "", err
	}
	if !key.Private() {
		return "", nil
	}
	folder := KeyFolder(r.keys, r.config.Name)
	held, err := readHeld(folder)
	if err != nil || held.find(id) != nil {
		return "", err
	}
	return key.keep(folder, role)
}

// changeKeys drafts the next root with what change makes of it, and signs it
// with the keys at hand. Changes add up until they are published.
func (r *Repository) changeKeys(ctx context.Context, role string, change func(*metadata.RootType) (made string, err error)) (*KeyChange, error) {
	if role != "" && !slices.Contains(roles, role) {
		return nil, fault.Mark(fmt.Errorf("there is no role %.40q", role), fault.Usage, "the roles are "+strings.Join(roles, ", "))
	}
	unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	d, err := r.rootDraft()
	if err != nil {
		return nil, err
	}
	made, err := change(&d.root.Signed)
	if err != nil {
		return nil, err
	}
	d.root.ClearSignatures()
	held, err := readHeld(KeyFolder(r.keys, r.config.Name))
	if err != nil {
		return nil, err
	}
	if err := d.addSignatures(held); err != nil {
		return nil, err
	}
	return &KeyChange{Changes: d.Changes(), File: DraftPath(r.dir, metadata.ROOT), Needs: d.Needs(), Made: made}, r.saveDraft(d)
}

// rootDraft is the change of keys that waits, or an empty one.
func (r *Repository) rootDraft() (*Draft, error) {
	s, err := readState(r.dir)
	if err != nil {
		return nil, err
	}
	expires := r.now().Add(lifetime(r.config.Lifetimes.Root))
	d, _, err := r.loadDraft(metadata.ROOT)
	if err != nil {
		return nil, err
	}
	if d == nil || d.root.Signed.Version <= s.root.Signed.Version {
		return draftRoot(r.config.Name, s.root, expires)
	}
	d.root.Signed.Expires = expires
	return d, nil
}

// ForgetKeyChange drops a change of keys that was not published yet. Private
// keys that were made for it stay where they are. It reports whether there was one.
func (r *Repository) ForgetKeyChange(ctx context.Context) (bool, error) {
	unlock, err := r.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	d, _, err := r.loadDraft(metadata.ROOT)
	if err != nil {
		return false, err
	}
	return d != nil, r.removeDraft(metadata.ROOT)
}

// matchID finds the one id that begins with prefix; at least 8 digits of it.
func matchID(ids []string, prefix string) (string, error) {
	if prefix == "" && len(ids) == 1 {
		return ids[0], nil
	}
	prefix = strings.ToLower(prefix)
	var found []string
	for _, id := range ids {
		if len(prefix) >= 8 && strings.HasPrefix(id, prefix) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		slices.Sort(ids)
		return "", fault.Mark(fmt.Errorf("%.80q names %d keys", prefix, len(found)), fault.Usage, "give at least 8 digits of one of "+shortIDs(ids))
	}
	return found[0], nil
}

// KeyStatus is what is known of the keys of a role.
type KeyStatus struct {
	Role      string    `json:"role"`
	Threshold int       `json:"threshold"`
	Expires   time.Time `json:"expires"` // of its metadata in force; zero before the first publication
	Keys      []KeyInfo `json:"keys"`
}

// KeyInfo is one of them.
type KeyInfo struct {
	ID   string `json:"id"`
	File string `json:"file,omitempty"` // of the private key; empty if it is away
}

// KeyReport is all about the role keys of a repository.
type KeyReport struct {
	RootVersion int64       `json:"root_version"`
	Roles       []KeyStatus `json:"roles"`
	Unused      []KeyInfo   `json:"unused"`            // at hand, not in force, and not to come
	Pending     *KeyChange  `json:"pending,omitempty"` // to be published
}

// Keys reports which keys count, which of them are at hand, and what is about
// to change.
func (r *Repository) Keys() (*KeyReport, error) {
	s, err := readState(r.dir)
	if err != nil {
		return nil, err
	}
	held, err := readHeld(KeyFolder(r.keys, r.config.Name))
	if err != nil {
		return nil, err
	}
	expires := map[string]time.Time{metadata.ROOT: s.root.Signed.Expires}
	if s.timestamp != nil {
		expires[metadata.TARGETS] = s.targets.Signed.Expires
		expires[metadata.SNAPSHOT] = s.snapshot.Signed.Expires
		expires[metadata.TIMESTAMP] = s.timestamp.Signed.Expires
	}
	report := &KeyReport{RootVersion: s.root.Signed.Version, Unused: []KeyInfo{}}
	for _, role := range roles {
		in := s.root.Signed.Roles[role]
		status := KeyStatus{Role: role, Threshold: in.Threshold, Expires: expires[role]}
		for _, id := range in.KeyIDs {
			info := KeyInfo{ID: id}
			if key := held.find(id); key != nil {
				info.File = key.file
			}
			status.Keys = append(status.Keys, info)
		}
		report.Roles = append(report.Roles, status)
	}
	d, _, err := r.loadDraft(metadata.ROOT)
	if err != nil {
		return nil, err
	}
	if d != nil && d.root.Signed.Version > s.root.Signed.Version {
		report.Pending = &KeyChange{Changes: d.Changes(), File: DraftPath(r.dir, metadata.ROOT), Needs: d.Needs()}
	}
	for _, key := range held {
		comes := report.Pending != nil && d.root.Signed.Keys[key.id] != nil
		if s.root.Signed.Keys[key.id] == nil && !comes {
			report.Unused = append(report.Unused, KeyInfo{key.id, key.file})
		}
	}
	return report, nil
}
