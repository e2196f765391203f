package attack

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/repo"
	"ashlar/repo/repotest"
	"ashlar/signing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// states are a repository at three times, and a system that saw the second:
//
//	older    2 days ago   base 1.0.0
//	seen     1 day ago    base 2.0.0, app 0.9.0; the system has base installed
//	present  1 hour ago   app 1.0.0 too, and data for noarch; app is what the cases install
type states struct {
	older, seen, present string // folders, never changed
	system               string // a root, to be copied
	firstRoot            []byte // the first root metadata, which is pinned
	roles                map[string]ed25519.PrivateKey
	packager             *signing.PrivateKey
	stranger             *signing.PrivateKey // a key that nobody trusts, with the packager's user id
	packages             string              // folder of package files
	authority            *authority
}

var theStates = sync.OnceValues(func() (*states, error) { return makeStates() })

func shared(t testing.TB) *states {
	t.Helper()
	s, err := theStates()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// appSize is large enough for an app of several frames, which is fetched by ranges.
const appSize = 160 << 10

// noise is content that does not compress.
func noise(size int, seed int64) string {
	data := make([]byte, size)
	rand.New(rand.NewSource(seed)).Read(data)
	return string(data)
}

var (
	appContent = noise(appSize, 1)
	newContent = noise(appSize, 2)
)

func makeStates() (*states, error) {
	s := &states{older: filepath.Join(scratch, "older"), seen: filepath.Join(scratch, "seen"), present: filepath.Join(scratch, "present"),
		system: filepath.Join(scratch, "system"), packages: filepath.Join(scratch, "packages"), roles: map[string]ed25519.PrivateKey{}}
	now := time.Now().Add(-48 * time.Hour)
	var err error
	made := now.Add(-time.Hour)
	if s.packager, err = signing.Generate("Packager", "packager@example.org", made); err != nil {
		return nil, err
	}
	if s.stranger, err = signing.Generate("Packager", "packager@example.org", made); err != nil {
		return nil, err
	}
	if s.authority, err = newAuthority(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.packages, 0o755); err != nil {
		return nil, err
	}
	dir, keys := filepath.Join(scratch, "origin"), filepath.Join(scratch, "keys")
	r, err := repo.Init(context.Background(), dir, repo.Settings{Name: "test", Packagers: []*signing.PublicKey{s.packager.Public()}},
		repo.Options{Keys: keys, Now: func() time.Time { return now }})
	if err != nil {
		return nil, err
	}
	publish := func(to string, at time.Time, names ...string) error {
		now = at
		for _, name := range names {
			path, err := s.pack(name, s.packager, nil)
			if err != nil {
				return err
			}
			if _, err := r.Add(context.Background(), repo.DefaultChannel, path); err != nil {
				return err
			}
		}
		if _, err := r.Publish(context.Background()); err != nil {
			return err
		}
		return os.CopyFS(to, os.DirFS(dir))
	}
	if err := publish(s.older, now, "base-1.0.0-1"); err != nil {
		return nil, err
	}
	if err := publish(s.seen, now.Add(24*time.Hour), "base-2.0.0-1", "app-0.9.0-1"); err != nil {
		return nil, err
	}
	if err := publish(s.present, now.Add(23*time.Hour), "app-1.0.0-1", "data-1.0.0-1.noarch"); err != nil {
		return nil, err
	}
	if s.firstRoot, err = os.ReadFile(filepath.Join(s.present, "metadata/1.root.json")); err != nil {
		return nil, err
	}
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if s.roles[role], err = readRole(filepath.Join(keys, "repositories/test", role+".pem")); err != nil {
			return nil, err
		}
	}
	return s, s.makeSystem()
}

// pack writes a package "name-version-release[.arch]" and returns its path.
func (s *states) pack(name string, signer *signing.PrivateKey, edit func(*pkgfile.Manifest)) (path string, err error) {
	content := name
	switch {
	case strings.HasPrefix(name, "app-1.0.0"):
		content = newContent
	case strings.HasPrefix(name, "big-"):
		content = noise(10<<20, 3)
	case strings.HasPrefix(name, "app-"):
		content = appContent
	}
	dir, err := os.MkdirTemp(s.packages, "")
	if err != nil {
		return "", err
	}
	// repotest wants a test; its failures are ours.
	defer func() {
		if failed := recover(); failed != nil {
			err = fmt.Errorf("%v", failed)
		}
	}()
	var signers []*signing.PrivateKey
	if signer != nil {
		signers = append(signers, signer)
	}
	return repotest.Package(panics{}, dir, name, content, func(m *pkgfile.Manifest) {
		m.Requires = nil
		m.Vendor = "example.org"
		if edit != nil {
			edit(m)
		}
	}, signers...), nil
}

// panics is a test that ends by panicking, for what belongs to no test.
type panics struct{ testing.TB }

func (panics) Helper()           {}
func (panics) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func readRole(path string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key.(ed25519.PrivateKey), nil
}

// makeSystem installs base from the state that is then seen.
func (s *states) makeSystem() error {
	files := map[string]string{
		"etc/pkgtool/trust/test/root.json":       string(s.firstRoot),
		"etc/pkgtool/repositories.d/test.yaml":   definition("test", nil, "file://"+s.seen),
		"etc/hostname":                           "here\n",
		"home/someone/precious":                  "precious\n",
		"var/cache/pkgtool/objects/.keep":        "",
		"var/cache/pkgtool/packages/.keep":       "",
		"var/lib/pkgtool/repositories/.keep":     "",
		"etc/pkgtool/repositories.d/.not-a-file": "",
	}
	for name, content := range files {
		path := filepath.Join(s.system, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"refresh"}, {"install", "--yes", "base"}} {
		cmd := exec.Command(program, append([]string{"--root", s.system}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("pkgtool %v: %w\n%s", args, err, out)
		}
	}
	return nil
}

// definition is a repository's definition with more lines.
func definition(name string, lines []string, urls ...string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "schema: 1\nname: %s\nurls:\n", name)
	for _, u := range urls {
		fmt.Fprintf(&b, "  - %q\n", u)
	}
	for _, l := range lines {
		fmt.Fprintln(&b, l)
	}
	return b.String()
}
