package signing

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
)

// Store is a folder of private keys, one armored file FINGERPRINT.asc each, and
// a file `default` that names the one to use when none is asked for. The folder
// has mode 0700 and the files 0600; a store that others can read refuses.
type Store struct{ dir string }

const defaultFile = "default"

var fingerprintForm = regexp.MustCompile(`^[0-9A-F]{40}$`)

// DefaultDir is $ASHLAR_KEYS, else ashlar/keys in the user's configuration folder.
func DefaultDir() string {
	if dir := os.Getenv("ASHLAR_KEYS"); dir != "" {
		return dir
	}
	config, err := os.UserConfigDir()
	if err != nil { // no $HOME, as in some services
		home := "/"
		if u, err := user.Current(); err == nil {
			home = u.HomeDir
		}
		config = filepath.Join(home, ".config")
	}
	return filepath.Join(config, "ashlar", "keys")
}

// OpenStore opens the store in dir, which need not exist before a key is added.
func OpenStore(dir string) (*Store, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &Store{dir}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open key store: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open key store: %s is not a folder", dir)
	}
	if err := checkPrivate(dir, info, "0700"); err != nil {
		return nil, err
	}
	return &Store{dir}, nil
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// checkPrivate refuses what group or others may touch.
func checkPrivate(path string, info fs.FileInfo, mode string) error {
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fault.Mark(fmt.Errorf("%s has mode %04o: other users can get at the private keys", path, info.Mode().Perm()),
			fault.Security, fmt.Sprintf("chmod %s %s (and think about replacing the key if others had access)", mode, path))
	}
	return nil
}

// Generate makes a key and stores it. The first key becomes the default.
func (s *Store) Generate(name, email string, created time.Time) (*PrivateKey, error) {
	key, err := Generate(name, email, created)
	if err != nil {
		return nil, err
	}
	if err := s.put(key); err != nil {
		return nil, err
	}
	_, err = s.offerDefault(key.Fingerprint())
	return key, err
}

// Import stores a private key, binary or armored, without passphrase. The first
// key becomes the default.
func (s *Store) Import(data []byte) (*PrivateKey, error) {
	key, err := ParsePrivate(data)
	if err != nil {
		return nil, err
	}
	if err := s.put(key); err != nil {
		return nil, err
	}
	_, err = s.offerDefault(key.Fingerprint())
	return key, err
}

// Export returns the armored private key. Whoever has it can sign.
func (s *Store) Export(fingerprint string) ([]byte, error) {
	key, err := s.Get(fingerprint)
	if err != nil {
		return nil, err
	}
	return key.ArmoredPrivate()
}

// List reads every key of the store, sorted by fingerprint. A store that does
// not exist is empty.
func (s *Store) List() ([]*PrivateKey, error) {
	names, err := s.fingerprints()
	if err != nil {
		return nil, err
	}
	var keys []*PrivateKey
	for _, name := range names {
		key, err := s.read(name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Get returns the key with this fingerprint, or the only one whose fingerprint
// ends in it (at least 8 digits; case and spaces do not matter).
func (s *Store) Get(fingerprint string) (*PrivateKey, error) {
	want := strings.ToUpper(strings.TrimPrefix(strings.ReplaceAll(fingerprint, " ", ""), "0x"))
	names, err := s.fingerprints()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range names {
		if name == want || len(want) >= 8 && strings.HasSuffix(name, want) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 1:
		return s.read(found[0])
	case 0:
		return nil, fault.Mark(fmt.Errorf("no private key %q in %s", fingerprint, s.dir), fault.Usage, "pkgtool key list shows what is there")
	}
	return nil, fault.Mark(fmt.Errorf("%q fits %d keys", fingerprint, len(found)), fault.Usage, "give the whole fingerprint")
}

// ErrNoDefault says that no default key was chosen yet.
var ErrNoDefault = errors.New("no default key")

// Default returns the key to use when none is asked for, or ErrNoDefault.
func (s *Store) Default() (*PrivateKey, error) {
	name, err := os.ReadFile(filepath.Join(s.dir, defaultFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Mark(fmt.Errorf("%w in %s", ErrNoDefault, s.dir), fault.Failed, "pkgtool key generate makes one")
	}
	if err != nil {
		return nil, fmt.Errorf("read default key: %w", err)
	}
	fpr := strings.TrimSpace(string(name))
	if !fingerprintForm.MatchString(fpr) {
		return nil, fmt.Errorf("%s does not hold a fingerprint", filepath.Join(s.dir, defaultFile))
	}
	return s.read(fpr)
}

// SetDefault makes an existing key the default.
func (s *Store) SetDefault(fingerprint string) error {
	key, err := s.Get(fingerprint)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(s.dir, defaultFile), []byte(key.Fingerprint()+"\n"), 0o600)
}

// EnsureDefault is Default, except that in a store without a default it first
// generates a development key, and then reports made, so that the caller can
// tell the user. Of several processes at once, one makes the key.
func (s *Store) EnsureDefault() (key *PrivateKey, made bool, err error) {
	if key, err = s.Default(); !errors.Is(err, ErrNoDefault) {
		return key, false, err
	}
	key, err = Generate("Ashlar development key", "", time.Now())
	if err != nil {
		return nil, false, err
	}
	if err := s.put(key); err != nil {
		return nil, false, err
	}
	won, err := s.offerDefault(key.Fingerprint())
	if err != nil {
		return nil, false, err
	}
	if !won {
		os.Remove(s.path(key.Fingerprint())) // unused; another process was first
		key, err = s.Default()
	}
	return key, won, err
}

func (s *Store) path(fingerprint string) string { return filepath.Join(s.dir, fingerprint+".asc") }

func (s *Store) fingerprints() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".asc"); ok && fingerprintForm.MatchString(name) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names, nil
}

func (s *Store) read(fingerprint string) (*PrivateKey, error) {
	path := s.path(fingerprint)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyring {
		return nil, fmt.Errorf("read key: %s is not a key file", path)
	}
	if err := checkPrivate(path, info, "0600"); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := ParsePrivate(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if key.Fingerprint() != fingerprint {
		return nil, fmt.Errorf("%s holds key %s; the name must be its fingerprint", path, key.Fingerprint())
	}
	return key, nil
}

func (s *Store) put(key *PrivateKey) error {
	data, err := key.ArmoredPrivate()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return fmt.Errorf("make key store: %w", err)
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make key store: %w", err)
	}
	if err := durable.WriteFile(s.path(key.Fingerprint()), data, 0o600); err != nil {
		return fmt.Errorf("store key: %w", err)
	}
	return nil
}

// offerDefault makes the key the default if there is none yet. The name appears
// complete and at once: a temporary file is linked to it.
func (s *Store) offerDefault(fingerprint string) (won bool, err error) {
	temp := filepath.Join(s.dir, "."+defaultFile+"."+fingerprint)
	if err := durable.WriteFile(temp, []byte(fingerprint+"\n"), 0o600); err != nil {
		return false, fmt.Errorf("choose default key: %w", err)
	}
	defer os.Remove(temp)
	err = os.Link(temp, filepath.Join(s.dir, defaultFile))
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("choose default key: %w", err)
	}
	return true, durable.SyncDir(s.dir)
}
