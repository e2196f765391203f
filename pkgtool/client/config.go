package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
	"ashlar/repo/transport"
)

// Config defines one repository: a file in /etc/pkgtool/repositories.d.
type Config struct {
	Schema   int      `yaml:"schema" jsonschema:"enum=1" jsonschema_description:"version of this format"`
	Name     string   `yaml:"name" jsonschema_description:"name of the repository on this system; its trusted root is /etc/pkgtool/trust/NAME/root.json"`
	URLs     []string `yaml:"urls" jsonschema_description:"mirrors, tried in this order: http, https, file, or oci and oci+http for a registry"`
	Channel  string   `yaml:"channel,omitempty" jsonschema_description:"default: stable"`
	Priority int      `yaml:"priority,omitempty" jsonschema_description:"a package of the repository with the higher number wins; default 50"`
	Enabled  *bool    `yaml:"enabled,omitempty" jsonschema_description:"default: true"`

	Timeout     int   `yaml:"timeout,omitempty" jsonschema_description:"seconds that a mirror may keep silent, or stay under minimum_rate; all metadata of one may take ten times as long; default 30"`
	MinimumRate int64 `yaml:"minimum_rate,omitempty" jsonschema_description:"bytes per second, averaged over timeout, under which another mirror is asked; default 1024"`
	WarnAfter   int   `yaml:"warn_after,omitempty" jsonschema_description:"days after its publication at which the state of the repository is called old; default: half of the time that it is good for"`
}

// limits are those of base where the definition does not set others.
func (c *Config) limits(base transport.Limits) transport.Limits {
	if c.Timeout > 0 {
		base.Stall = time.Duration(c.Timeout) * time.Second
		base.Connect = min(base.Stall, 10*time.Second)
		base.Metadata = 10 * base.Stall
	}
	if c.MinimumRate > 0 {
		base.MinimumRate = c.MinimumRate
	}
	return base.OrDefault()
}

// DefaultPriority is that of a repository which states none.
const DefaultPriority = 50

// Schema is the JSON Schema of a definition, for editors.
func Schema() ([]byte, error) {
	return strictyaml.Schema(&Config{}, "Ashlar repository definition")
}

// On reports whether the repository is to be used.
func (c *Config) On() bool { return c.Enabled == nil || *c.Enabled }

var (
	repositoryName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	channelName    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
)

const maxMirrors = 64

// ReadConfig reads one definition and fills in the defaults.
func ReadConfig(path string) (Config, error) {
	var c Config
	data, err := transport.ReadSmall(path, strictyaml.MaxSize)
	if err != nil {
		return c, err
	}
	if err := strictyaml.Decode(path, data, &c); err != nil {
		return c, err
	}
	c.setDefaults()
	if err := c.validate(); err != nil {
		return c, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Usage, "")
	}
	return c, nil
}

func (c *Config) setDefaults() {
	if c.Channel == "" {
		c.Channel = "stable"
	}
	if c.Priority == 0 {
		c.Priority = DefaultPriority
	}
}

func (c *Config) validate() error {
	switch {
	case c.Schema != 1:
		return fmt.Errorf("schema is %d; this pkgtool reads schema 1", c.Schema)
	case !repositoryName.MatchString(c.Name):
		return fmt.Errorf("invalid name %q; use lower-case letters, digits and . _ -", c.Name)
	case !channelName.MatchString(c.Channel):
		return fmt.Errorf("invalid channel %q; use lower-case letters, digits, _ and -", c.Channel)
	case len(c.URLs) == 0:
		return errors.New("urls is empty; give at least one")
	case len(c.URLs) > maxMirrors:
		return fmt.Errorf("%d urls; at most %d are used", len(c.URLs), maxMirrors)
	case c.Priority < 1 || c.Priority > 1000:
		return fmt.Errorf("priority %d is outside 1 to 1000", c.Priority)
	case c.Timeout < 0 || c.Timeout > 3600:
		return fmt.Errorf("timeout of %d seconds is outside 1 to 3600", c.Timeout)
	case c.MinimumRate < 0 || c.MinimumRate > 1<<30:
		return fmt.Errorf("minimum_rate of %d bytes per second is outside 1 to %d", c.MinimumRate, 1<<30)
	case c.WarnAfter < 0 || c.WarnAfter > 3650:
		return fmt.Errorf("warn_after of %d days is outside 1 to 3650", c.WarnAfter)
	}
	for _, u := range c.URLs {
		if _, err := transport.ParseURL(u); err != nil {
			return err
		}
	}
	return nil
}

// LoadConfigs reads all *.yaml files of dir in order of their names. A folder
// that does not exist defines no repository. The repository of the highest
// priority comes first.
func LoadConfigs(dir string) ([]Config, error) {
	files, err := definitionFiles(dir)
	if err != nil {
		return nil, err
	}
	var configs []Config
	defined := map[string]string{}
	for _, f := range files {
		c, err := ReadConfig(f)
		if err != nil {
			return nil, err
		}
		if first := defined[c.Name]; first != "" {
			return nil, fault.Errorf(fault.Usage, "repository %s is defined in %s and in %s", c.Name, first, filepath.Base(f))
		}
		defined[c.Name] = filepath.Base(f)
		configs = append(configs, c)
	}
	sort.SliceStable(configs, func(i, j int) bool { return configs[i].Priority > configs[j].Priority })
	return configs, nil
}

// definitionFiles lists the definitions in a folder.
func definitionFiles(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var paths []string
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".yaml") && !strings.HasPrefix(f.Name(), ".") {
			paths = append(paths, filepath.Join(dir, f.Name()))
		}
	}
	return paths, nil
}
