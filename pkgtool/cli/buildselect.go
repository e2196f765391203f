package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/fault"
)

// parseOptions reads RECIPE.OPTION=VALUE.
func parseOptions(texts []string) (map[string]map[string]string, error) {
	chosen := map[string]map[string]string{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		recipe, option, named := cutLast(name, ".")
		if !ok || !named || recipe == "" || option == "" || value == "" {
			return nil, fault.Errorf(fault.Usage, "--option %q is not RECIPE.OPTION=VALUE, such as openssh.pam=false", text)
		}
		if chosen[recipe] == nil {
			chosen[recipe] = map[string]string{}
		}
		chosen[recipe][option] = value
	}
	return chosen, nil
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}

// selection is which recipes a build is for, besides those that are named.
type selection struct {
	changed string // since this commit
	rdeps   bool
}

// names returns the recipes to build; none means all. done says that there is
// nothing to do.
func (s *selection) names(ctx context.Context, engine *build.Engine, named []string) (names []string, done bool, err error) {
	names = named
	if s.changed != "" {
		files, err := changedFiles(ctx, engine.Tree.Dir, s.changed)
		if err != nil {
			return nil, false, err
		}
		touched := engine.Tree.Touched(files)
		if names = append(names, touched...); len(names) == 0 {
			return nil, true, nil
		}
	}
	if s.rdeps {
		if len(names) == 0 {
			return nil, false, fault.Errorf(fault.Usage, "--rdeps needs recipes, or --changed")
		}
		if names, err = engine.Tree.Dependents(names, engine.Seed); err != nil {
			return nil, false, err
		}
	}
	return names, false, nil
}

// changedFiles asks git which files of the working tree that holds dir are new
// or different since a commit.
func changedFiles(ctx context.Context, dir, commit string) ([]string, error) {
	if strings.HasPrefix(commit, "-") {
		return nil, fault.Errorf(fault.Usage, "%q is not a commit", commit)
	}
	git := func(args ...string) (string, error) {
		var out, problem bytes.Buffer
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		cmd.Stdout, cmd.Stderr = &out, &problem
		err := cmd.Run()
		if errors.Is(err, exec.ErrNotFound) {
			return "", fault.Errorf(fault.Usage, "--changed asks git, which is not installed")
		}
		if err != nil {
			return "", fault.Mark(fmt.Errorf("find what changed since %s: git: %s", commit, strings.TrimSpace(problem.String())), fault.Usage, "")
		}
		return out.String(), nil
	}
	top, err := git("rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	different, err := git("diff", "--name-only", "-z", commit, "--")
	if err != nil {
		return nil, err
	}
	unknown, err := git("ls-files", "--others", "--exclude-standard", "--full-name", "-z", ":/")
	if err != nil {
		return nil, err
	}
	var files []string
	for _, name := range strings.Split(different+unknown, "\x00") {
		if name != "" {
			files = append(files, filepath.Join(strings.TrimSpace(top), name))
		}
	}
	return files, nil
}

// parseFragments reads --kernel-fragment: pairs of a kernel and a file.
func parseFragments(texts []string) (pairs [][2]string, err error) {
	for _, text := range texts {
		kernel, file, ok := strings.Cut(text, "=")
		if !ok || kernel == "" || file == "" {
			return nil, fault.Errorf(fault.Usage, "--kernel-fragment %q is not KERNEL=FILE, such as linux-server=mine.config", text)
		}
		pairs = append(pairs, [2]string{kernel, file})
	}
	return pairs, nil
}
