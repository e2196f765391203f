package client

import "ashlar/signing"

// Packagers is the keyring of the repository of a name: whose packages it
// offers. It is nil for one that is unknown, not enabled or not loaded.
func (c *Client) Packagers(name string) *signing.Keyring {
	r, err := c.repository(name)
	if err != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keyring
}
