package iso

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
)

var (
	nameLine    = regexp.MustCompile(`(?m)^name:.*$`)
	summaryLine = regexp.MustCompile(`(?m)^summary:.*$`)
)

// Draft writes a definition called name into dir, as a copy of from's with its
// comments, and returns its path. summary may be empty. Errors are of class
// fault.Usage: a name that cannot be one, or that is taken.
func Draft(dir, name, from, summary string) (string, error) {
	if !nameFormat.MatchString(name) {
		return "", fault.Errorf(fault.Usage, "name %q is not of lower-case letters, digits, dots and dashes", name)
	}
	path := filepath.Join(dir, name+".yaml")
	if _, err := os.Lstat(path); err == nil {
		return "", fault.Errorf(fault.Usage, "%s is there already; edit it, or choose another name", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	original, err := Find(dir, from)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(original.dir, original.Name+".yaml"))
	if err != nil {
		return "", err
	}
	if summary == "" {
		summary = "Image " + name
	}
	text = nameLine.ReplaceAllLiteral(text, []byte("name: "+name))
	text = summaryLine.ReplaceAllLiteral(text, []byte("summary: "+summary))
	text = append(fmt.Appendf(nil, "# Began as a copy of %s. Keys: docs/formats/image.md.\n", original.Name), text...)
	if err := durable.WriteFile(path, text, 0o644); err != nil {
		return "", err
	}
	if _, err := Read(path); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return path, nil
}
