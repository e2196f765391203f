package iso

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"ashlar/iso/tree"

	"github.com/goccy/go-yaml"
)

// MediumRepository is the name that a live system gives to the repository on
// the medium which it was started from.
const MediumRepository = "medium"

const (
	mediumPlace    = "/run/ashlar/medium" // of the medium in a started live system
	repositoryPath = "repository"         // on the medium
	// mediumPriority is above that of a network's repository: what is at hand
	// is not fetched.
	mediumPriority = 60
)

// mediumRepository returns the files of a repository as they lie on a medium.
// What begins with a dot is the publisher's own.
func mediumRepository(folder string) ([]tree.Entry, error) {
	var entries []tree.Entry
	err := filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir(), strings.HasPrefix(d.Name(), "."):
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is not a file", file)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		entries = append(entries, tree.Entry{Path: path.Join(repositoryPath, filepath.ToSlash(name)), Perm: 0o444, Size: info.Size(),
			Open: func() (io.ReadCloser, error) { return os.Open(file) }})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("repository for the medium: %w", err)
	}
	return entries, nil
}

// mediumInputs is what the repository on the medium contributes to a key: names
// and sizes of all files, and the content of its metadata, which covers the rest.
func mediumInputs(entries []tree.Entry) ([]string, error) {
	var names []string
	var metadata []tree.Entry
	for _, e := range entries {
		names = append(names, fmt.Sprintf("%s %d", e.Path, e.Size))
		if strings.HasPrefix(e.Path, repositoryPath+"/metadata/") {
			metadata = append(metadata, e)
		}
	}
	hashes, err := entryInputs(metadata)
	return append(names, hashes...), err
}

// mediumDefinition tells a live system of the repository on its medium.
func mediumDefinition() (tree.Entry, error) {
	body, err := yaml.Marshal(struct {
		Schema   int      `yaml:"schema"`
		Name     string   `yaml:"name"`
		URLs     []string `yaml:"urls"`
		Priority int      `yaml:"priority"`
	}{1, MediumRepository, []string{"file://" + path.Join(mediumPlace, repositoryPath)}, mediumPriority})
	if err != nil {
		return tree.Entry{}, err
	}
	text := append([]byte("# The medium that this system was started from.\n"), body...)
	return tree.Entry{Path: "etc/pkgtool/repositories.d/" + MediumRepository + ".yaml", Perm: 0o644, Size: int64(len(text)), Open: tree.Bytes(text)}, nil
}
