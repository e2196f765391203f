package client

import (
	"errors"
	"fmt"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"
)

// TrustedBy returns the name of the first repository whose packagers signed a
// package that came from somewhere else. Load or Refresh must have succeeded
// for that repository. The error is of class fault.Security if none did.
func (c *Client) TrustedBy(p *pkgfile.Package) (string, error) {
	var failures []error
	for _, r := range c.repositories {
		r.mu.Lock()
		keyring := r.keyring
		r.mu.Unlock()
		if keyring == nil {
			continue
		}
		_, err := p.VerifySignature(keyring, signing.Policy{Now: r.clock()})
		if err == nil {
			return r.config.Name, nil
		}
		failures = append(failures, fmt.Errorf("repository %s: %w", r.config.Name, err))
	}
	if len(failures) == 0 {
		failures = append(failures, errors.New("no repository is known whose packagers could have signed it"))
	}
	return "", fault.Mark(errors.Join(failures...), fault.Security, "")
}
