package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"ashlar/pkgtool/abi"
	"ashlar/pkgtool/pkgfile"
)

// interfaceFormat is the version of what interfaceDigest covers.
const interfaceFormat = 1

// interfaceDigest is the digest of what linking with a package can see of it:
// headers, static libraries, object files, scripts and everything else in full;
// of a shared library its name, what it needs and the symbols it exports; of an
// ELF program only that it is there; of manual pages, translations and
// debugging symbols nothing. root has the package's unpacked files.
//
// It holds only where nothing of the package runs during the build: a test
// program of configure that asks a library how it behaves is answered by code
// that the digest does not cover.
func interfaceDigest(root *os.Root, m *pkgfile.Manifest) (string, error) {
	h := sha256.New()
	list := json.NewEncoder(h)
	err := list.Encode(struct{ Interface int }{interfaceFormat})
	for i := range m.Files {
		f := &m.Files[i]
		if err != nil {
			return "", err
		}
		if !linkable(f) {
			continue
		}
		seen := interfaceFile{Path: f.Path, Type: f.Type, Target: f.Target, Executable: f.Mode&0o111 != 0}
		if f.Type == pkgfile.TypeFile {
			if err := seen.look(root, f); err != nil {
				return "", fmt.Errorf("interface of %s: /%s: %w", m.Name, f.Path, err)
			}
		}
		err = list.Encode(seen)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// interfaceFile is what linking sees of one file.
type interfaceFile struct {
	Path, Type, Target string
	Executable         bool
	SHA256             string       `json:",omitempty"`
	Library            *abi.Library `json:",omitempty"`
	Program            bool         `json:",omitempty"`
}

// look decides what of a file counts.
func (seen *interfaceFile) look(root *os.Root, f *pkgfile.File) error {
	seen.SHA256 = f.SHA256
	file, err := root.Open(f.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	var head [20]byte
	if _, err := io.ReadFull(file, head[:]); err != nil || stripKind(head[:]) != stripAll {
		return nil // shorter than any ELF file, or none
	}
	switch library, err := abi.Read(file); {
	case err == nil:
		seen.Library, seen.SHA256 = library, ""
	case !errors.Is(err, abi.ErrNoLibrary):
		return err
	case path.Dir(f.Path) == "usr/bin" || f.Mode&0o111 != 0:
		seen.Program, seen.SHA256 = true, ""
	}
	return nil
}

// unlinked are folders of which linking sees nothing.
var unlinked = []string{"usr/share/man/", "usr/share/info/", "usr/share/doc/", "usr/share/gtk-doc/", "usr/share/locale/", "usr/lib/debug/"}

// linkable reports whether a file can matter to what is linked with a package.
func linkable(f *pkgfile.File) bool {
	return f.Type != pkgfile.TypeDir && !slices.ContainsFunc(unlinked, func(folder string) bool { return strings.HasPrefix(f.Path, folder) })
}
