package repo

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"
)

// Disallowed is what Disallow did.
type Disallowed struct {
	Fingerprints []string `json:"fingerprints"`
	// Packages lists what no packager that is left has signed. Clients will
	// refuse to install it.
	Packages []string `json:"packages"`
}

// Disallow takes packagers out of the keyring, by the fingerprints of their
// keys, effective for clients with the next Publish. Packages on offer that only
// they have signed are in the way unless force is given: clients would refuse
// them.
func (r *Repository) Disallow(ctx context.Context, force bool, fingerprints ...string) (*Disallowed, error) {
	unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	kr, err := r.keyring()
	if err != nil {
		return nil, err
	}
	left := kr.Keys()
	done := &Disallowed{Packages: []string{}}
	for _, text := range fingerprints {
		fingerprint := strings.ToUpper(strings.ReplaceAll(text, " ", ""))
		i := slices.IndexFunc(left, func(k *signing.PublicKey) bool { return k.Fingerprint() == fingerprint })
		if i < 0 {
			return nil, fault.Mark(fmt.Errorf("%.100q is no packager of this repository", text), fault.Usage,
				"give the whole fingerprint of one of: pkgtool repo packagers DIR")
		}
		left = slices.Delete(left, i, i+1)
		done.Fingerprints = append(done.Fingerprints, fingerprint)
	}
	if len(left) == 0 {
		return nil, fault.Mark(fmt.Errorf("no packager would be left"), fault.Usage, "allow another one first: pkgtool repo allow DIR KEYFILE")
	}
	without, err := signing.NewKeyring(left...)
	if err != nil {
		return nil, err
	}
	if done.Packages, err = r.unsigned(ctx, without); err != nil {
		return nil, err
	}
	if len(done.Packages) > 0 && !force {
		return nil, fault.Mark(fmt.Errorf("only by this packager signed are %s", some(done.Packages)), fault.Failed,
			"replace them (have them signed again with pkgtool pkg sign, or remove them), or say --force: clients then refuse to install them")
	}
	return done, r.writeKeyring(left)
}

// Packagers are the keys that may sign packages from the next Publish on.
func (r *Repository) Packagers() ([]*signing.PublicKey, error) {
	kr, err := r.keyring()
	if err != nil {
		return nil, err
	}
	return kr.Keys(), nil
}

// unsigned lists the packages on offer, or about to be, that no key of kr has
// signed. It reads the head of each package file.
func (r *Repository) unsigned(ctx context.Context, kr *signing.Keyring) ([]string, error) {
	list, err := r.List()
	if err != nil {
		return nil, err
	}
	found := []string{}
	for _, e := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, err := pkgfile.OpenFile(filepath.Join(r.dir, filepath.FromSlash(e.Path)))
		if err != nil {
			return nil, err
		}
		_, err = p.VerifySignature(kr, signing.Policy{Now: r.now()})
		p.Close()
		if name := e.ID(); err != nil && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found, nil
}

// some names the first of many.
func some(names []string) string {
	const few = 10
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
