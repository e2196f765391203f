package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
	"ashlar/signing"
)

// Config is the file that says which build cache is used: cache.yaml beside the
// recipes, or build-cache.yaml in the user's configuration folder, which wins.
type Config struct {
	Schema    int      `yaml:"schema" jsonschema_description:"1"`
	URL       string   `yaml:"url,omitempty" jsonschema_description:"a folder, http://, https://, oci:// or oci+http://"`
	Keys      []string `yaml:"keys,omitempty" jsonschema_description:"files of OpenPGP public keys of the builders whose results count, relative to this file"`
	Threshold int      `yaml:"threshold,omitempty" jsonschema_description:"how many builders must have made the same packages; 1 if absent"`
	Push      bool     `yaml:"push,omitempty" jsonschema_description:"give what is built here to the cache"`
	Interface bool     `yaml:"interface_digests,omitempty" jsonschema_description:"do not build again for a library of which only the code changed"`

	file string
}

// ConfigName is the name of the file beside the recipes.
const ConfigName = "cache.yaml"

// ConfigSchema returns the JSON Schema of the file.
func ConfigSchema() ([]byte, error) { return strictyaml.Schema(&Config{}, "Ashlar build cache") }

// ReadConfig reads the first of the files that is there; where none is, nothing
// is configured. Its errors are of class fault.Usage.
func ReadConfig(files ...string) (*Config, error) {
	for _, file := range files {
		c := &Config{file: file}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := strictyaml.ReadFile(file, c); err != nil {
			return nil, err
		}
		if c.Schema != 1 {
			return nil, fault.Errorf(fault.Usage, "%s: schema %d is unknown; this pkgtool knows 1", file, c.Schema)
		}
		if c.Threshold < 0 || c.Threshold > maxSignatures {
			return nil, fault.Errorf(fault.Usage, "%s: threshold: %d is not between 1 and %d", file, c.Threshold, maxSignatures)
		}
		return c, nil
	}
	return &Config{}, nil
}

// File is where the configuration was read; "" if nowhere.
func (c *Config) File() string { return c.file }

// Keyring returns the keys that the file names, and own ones besides.
func (c *Config) Keyring(own ...*signing.PublicKey) (*signing.Keyring, error) {
	all := own
	for _, name := range c.Keys {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(c.file), name)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fault.Mark(fmt.Errorf("%s: keys: %w", c.file, err), fault.Usage, "pkgtool key export prints such a file")
		}
		keys, err := signing.ReadKeyring(data)
		if err != nil {
			return nil, fmt.Errorf("%s: keys: %s: %w", c.file, name, err)
		}
		for _, k := range keys.Keys() {
			all = append(all, k)
		}
	}
	return signing.NewKeyring(all...)
}
