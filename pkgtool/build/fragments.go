package build

import (
	"os"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/fault"
)

// KernelFragments puts a user's own configuration fragments on top of a
// kernel's: files are .config text, their names end in .config; what they ask
// for is required. kernel is a package whose recipe has a recipe NAME-config
// for its configuration beside it, such as linux-server. The kernel is built
// again only if its finished configuration comes out different.
func (e *Engine) KernelFragments(kernel string, files ...string) error {
	if len(files) == 0 {
		return nil
	}
	name := kernel
	if owned := e.Tree.Package(kernel); owned != nil {
		name = owned.Recipe.Name
	}
	config, err := e.Tree.Recipe(name + "-config")
	if err != nil {
		return fault.Errorf(fault.Usage, "kernel %s takes no fragments: it has no recipe %s-config; linux-server and linux-virt have", kernel, name)
	}
	if e.Own == nil {
		e.Own = map[string][]string{}
	}
	for _, file := range files {
		if !strings.HasSuffix(file, ".config") {
			return fault.Errorf(fault.Usage, "kernel fragment %s: the name of a fragment ends in .config", file)
		}
		abs, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		if info, err := os.Stat(abs); err != nil {
			return fault.Mark(err, fault.Usage, "name files with .config text")
		} else if !info.Mode().IsRegular() {
			return fault.Errorf(fault.Usage, "kernel fragment %s is no file with .config text", file)
		}
		e.Own[config.Name] = append(e.Own[config.Name], abs)
	}
	return nil
}
