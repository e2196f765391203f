package pkgfile

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"ashlar/pkgtool/fault"

	"github.com/bmatcuk/doublestar/v4"
)

// Rule gives files another owner, group or mode than Scan's, or marks them as
// configuration.
type Rule struct {
	Path   string `yaml:"path"` // a glob (doublestar) over paths: etc/**, usr/bin/su
	Owner  string `yaml:"owner,omitempty"`
	Group  string `yaml:"group,omitempty"`
	Mode   string `yaml:"mode,omitempty"` // octal: "4755"
	Config bool   `yaml:"config,omitempty"`
}

// Scan makes inputs of everything in dir. Owner and mode do not come from the
// disk, which depends on who unpacked there: everything is root's, with 0755 for
// folders and what its owner may execute, else 0644. Rules change that, the last
// one that fits wins, and one that fits nothing is an error.
func Scan(dir string, rules []Rule) ([]Input, error) {
	var inputs []Input
	seen := map[[2]uint64]string{} // device and inode of files with several names
	used := make([]bool, len(rules))
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		in, err := scanOne(name, rel, entry, seen)
		if err != nil {
			return fmt.Errorf("%q: %w", rel, err)
		}
		if in.Type != TypeHardlink {
			if err := applyRules(&in.File, rules, used); err != nil {
				return fmt.Errorf("%q: %w", rel, err)
			}
		}
		inputs = append(inputs, in)
		return nil
	})
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("scan %s: %w", dir, err), fault.Usage, "")
	}
	for i, rule := range rules {
		if !used[i] {
			return nil, fault.Errorf(fault.Usage, "scan %s: the rule for %q fits no file", dir, rule.Path)
		}
	}
	return inputs, nil
}

func scanOne(name, rel string, entry fs.DirEntry, seen map[[2]uint64]string) (Input, error) {
	info, err := entry.Info()
	if err != nil {
		return Input{}, err
	}
	in := Input{File: File{Path: filepath.ToSlash(rel), Owner: "root", Group: "root", Mode: 0o644}}
	switch info.Mode().Type() {
	case fs.ModeDir:
		in.Type, in.Mode = TypeDir, 0o755
	case fs.ModeSymlink:
		in.Type, in.Mode = TypeSymlink, 0o777
		in.Target, err = os.Readlink(name)
	case 0:
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
			inode := [2]uint64{uint64(stat.Dev), stat.Ino}
			if first, ok := seen[inode]; ok {
				return Input{File: File{Path: in.Path, Type: TypeHardlink, Target: first}}, nil
			}
			seen[inode] = in.Path
		}
		in.Type, in.Size = TypeFile, info.Size()
		if info.Mode()&0o100 != 0 {
			in.Mode = 0o755
		}
		in.Open = func() (io.ReadCloser, error) { return os.Open(name) }
	default:
		return Input{}, fmt.Errorf("a %v cannot be packaged; describe it in tmpfiles.d", info.Mode().Type())
	}
	return in, err
}

func applyRules(f *File, rules []Rule, used []bool) error {
	for i, rule := range rules {
		fits, err := doublestar.Match(rule.Path, f.Path)
		if err != nil {
			return fmt.Errorf("rule %q: %w", rule.Path, err)
		}
		if !fits {
			continue
		}
		used[i] = true
		if rule.Owner != "" {
			f.Owner = rule.Owner
		}
		if rule.Group != "" {
			f.Group = rule.Group
		}
		if rule.Mode != "" && f.Type != TypeSymlink {
			mode, err := strconv.ParseUint(rule.Mode, 8, 32)
			if err != nil || mode > 0o7777 {
				return fmt.Errorf("rule %q: mode %q is not octal permission bits", rule.Path, rule.Mode)
			}
			f.Mode = uint32(mode)
		}
		if rule.Config && f.Type == TypeFile {
			f.Config = true
		}
	}
	return nil
}
