package seed

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// addGo unpacks the golang.org/toolchain module: a Go distribution in the form
// of a module, which the go command makes usable in the same two ways (module
// zips hold no modes and no go.mod of another module).
func (t *tree) addGo(zipPath string, e Entry) error {
	archive, err := zip.OpenReader(zipPath)
	if err != nil {
		return err
	}
	defer archive.Close()
	for _, member := range archive.File {
		name, ok := strings.CutPrefix(member.Name, e.GoMod+"/")
		if !ok || path.Clean(name) != name || strings.HasPrefix(name, "../") || name == ".." || path.IsAbs(name) {
			return fmt.Errorf("member %.200q is not a module's", member.Name)
		}
		if leftOut.MatchString(name) {
			continue
		}
		if name == "src/_go.mod" || name == "src/cmd/_go.mod" {
			name = path.Dir(name) + "/go.mod"
		}
		if err := t.addGoMember(member, e.Into+"/"+name, executable.MatchString(name)); err != nil {
			return fmt.Errorf("member %.200q: %w", member.Name, err)
		}
	}
	for _, program := range []string{"go", "gofmt"} {
		if err := t.mkdir("usr/bin"); err != nil {
			return err
		}
		if err := t.symlink("usr/bin/"+program, relative("usr/bin", e.Into+"/bin/"+program)); err != nil {
			return err
		}
	}
	return nil
}

// leftOut are tests and their data, two thirds of the files: no build runs them.
var leftOut = regexp.MustCompile(`(^|/)testdata/|_test\.go$|^(test|doc|api|misc)/`)

// executable are what the go command marks executable after a download.
var executable = regexp.MustCompile(`^(bin|pkg/tool)/|^lib/.*go_[^/]*_[^/]*_exec$`)

func (t *tree) addGoMember(member *zip.File, name string, isProgram bool) error {
	if !member.Mode().IsRegular() && member.Mode()&fs.ModeType != 0 {
		return fmt.Errorf("not a file")
	}
	content, err := member.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	if err := t.mkdir(path.Dir(name)); err != nil {
		return err
	}
	return t.writeFile(name, isProgram, content)
}
