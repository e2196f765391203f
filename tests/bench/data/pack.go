package data

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"
)

// epochs are the build times of the versions, in seconds since 1970.
var epochs = map[string]int64{"1.0.0": 1700000000, "2.0.0": 1720000000}

// packer writes packages of one format.
type packer func(ctx context.Context, e *Entry, tree, into string) (file string, err error)

// theirs writes the packages in the formats of the rivals. How those take a
// system full of other files is not measured, so the filler is left out.
func (m *maker) theirs(ctx context.Context) error {
	for format, packer := range map[string]packer{"deb": deb, "rpm": rpm, "pacman": pacman} {
		for _, set := range []string{Base, Upgrade} {
			if err := m.pack(ctx, set, format, packer); err != nil {
				return err
			}
		}
	}
	return nil
}

// packOurs writes the packages in our format, signed.
func (m *maker) packOurs(ctx context.Context) error {
	store, err := signing.OpenStore(m.Path("keys"))
	if err != nil {
		return err
	}
	key, _, err := store.EnsureDefault()
	if err != nil {
		return err
	}
	for _, set := range []string{Base, Upgrade, Filler} {
		if err := m.pack(ctx, set, "ashlar", ashlar(key)); err != nil {
			return err
		}
	}
	return nil
}

// pack writes the packages of a set in one format.
func (m *maker) pack(ctx context.Context, set, format string, packer packer) error {
	m.say("packing %s as %s", set, format)
	into := m.Path(set, format)
	if err := errors.Join(os.RemoveAll(into), os.Mkdir(into, 0o755)); err != nil {
		return err
	}
	return m.each(ctx, set, func(ctx context.Context, e *Entry) error {
		file, err := packer(ctx, e, m.unpacked(set, e.Name), into)
		if err != nil {
			return err
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		e.Bytes[format] = info.Size()
		return nil
	})
}

// readable reports whether this version of pkgtool reads the packages: they may
// have been made by one that framed them otherwise.
func (d *Dataset) readable() bool {
	for _, set := range []string{Base, Upgrade, Filler} {
		files, err := d.Files(set, "ashlar")
		if err != nil || len(files) == 0 {
			return false
		}
		for _, file := range files {
			p, err := pkgfile.OpenFile(file)
			if err != nil {
				return false
			}
			p.Close()
		}
	}
	return exists(d.Repository(Upgrade))
}

// run executes a program and returns what it printed only if it failed.
func run(ctx context.Context, name string, args ...string) error {
	return runIn(ctx, "", name, args...)
}

func runIn(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	// Names of files are UTF-8, whatever the user's locale is.
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, tail(string(out)))
	}
	return nil
}

// tail is the end of what a program said.
func tail(text string) string {
	return text[max(0, len(text)-2000):]
}

// shellQuote makes one word of s for a shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// only returns the one file that matches pattern.
func only(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%s matches %d files", pattern, len(found))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
