package source

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/build/source/apt"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
)

// Mirrors knows where mirror://NAME/path may be found.
type Mirrors struct {
	bases   map[string][]string // by NAME, in the order to try
	proxies map[string]string   // by host, from apt's configuration
	problem error               // why the host's configuration gave nothing
	config  string              // where a user would add one
}

// mirrorConfig is the user's mirrors.yaml.
type mirrorConfig struct {
	Mirrors map[string][]string `yaml:"mirrors"`
}

// NewMirrors returns mirrors for NAME -> base URLs, and nothing else.
func NewMirrors(bases map[string][]string) *Mirrors { return &Mirrors{bases: bases} }

// HostMirrors reads the user's configuration file ("" is mirrors.yaml in the
// user's configuration folder; it may be absent) and then apt's folder aptDir
// ("" is /etc/apt) for the names debian and debian-security. A user's mirror
// is tried first. A mistake in the user's file is an error; one in apt's is
// only told when nothing else gives the mirror.
func HostMirrors(config, aptDir string) (*Mirrors, error) {
	if config == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, err
		}
		config = filepath.Join(dir, "ashlar", "mirrors.yaml")
	}
	if aptDir == "" {
		aptDir = "/etc/apt"
	}
	m := &Mirrors{bases: map[string][]string{}, proxies: map[string]string{}, config: config}
	var user mirrorConfig
	if err := strictyaml.ReadFile(config, &user); err == nil {
		for name, bases := range user.Mirrors {
			for _, base := range bases {
				if u, err := url.Parse(base); err != nil || (u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file") {
					return nil, fault.Errorf(fault.Usage, "%s: mirror %s: %s is not an http, https or file URL", config, name, Redact(base))
				}
				m.bases[name] = append(m.bases[name], strings.TrimRight(base, "/"))
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	repositories, err := apt.Repositories(aptDir)
	m.problem = err
	for _, name := range []string{"debian", "debian-security"} {
		for _, base := range apt.DebianMirrors(repositories, name) {
			u, err := url.Parse(base)
			if err != nil || (u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file") {
				continue
			}
			m.bases[name] = append(m.bases[name], base)
			if proxy := apt.Proxy(aptDir, u.Scheme); proxy != "" && u.Scheme != "file" {
				m.proxies[u.Host] = proxy
			}
		}
	}
	return m, nil
}

// Resolve returns the URLs for mirror://NAME/path.
func (m *Mirrors) Resolve(uri string) ([]string, error) {
	rest := strings.TrimPrefix(uri, "mirror://")
	name, path, ok := strings.Cut(rest, "/")
	if !ok || name == "" || path == "" {
		return nil, fault.Errorf(fault.Usage, "%s is not mirror://NAME/path", Redact(uri))
	}
	var urls []string
	if m != nil {
		for _, base := range m.bases[name] {
			urls = append(urls, base+"/"+escapePath(path))
		}
	}
	if len(urls) == 0 {
		err := fmt.Errorf("no mirror named %s is known", name)
		if m != nil && m.problem != nil {
			err = fmt.Errorf("%w (apt's configuration: %w)", err, m.problem)
		}
		config := "mirrors.yaml"
		if m != nil && m.config != "" {
			config = m.config
		}
		return nil, fault.Mark(err, fault.Network, fmt.Sprintf("write its URL into %s: mirrors: {%s: [URL]}", config, name))
	}
	return urls, nil
}

// escapePath escapes what a pool path can hold and a URL path cannot; a plus
// sign stays, as Debian's mirrors serve it.
func escapePath(path string) string { return (&url.URL{Path: path}).EscapedPath() }
