package data

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"ashlar/pkgtool/pkgfile"
	"ashlar/signing"
)

// ashlar writes packages of ours, signed.
func ashlar(key *signing.PrivateKey) packer {
	return func(ctx context.Context, e *Entry, tree, into string) (string, error) {
		m := pkgfile.Manifest{Format: pkgfile.FormatVersion, Name: e.Name, Version: e.Version, Release: 1, Arch: "x86_64", Summary: e.Summary,
			License: "see /usr/share/doc", Requires: e.Requires, Upstream: e.Debian,
			Provenance: pkgfile.Provenance{Origin: "import", Epoch: epochs[e.Version]}}
		inputs, err := inputsOf(tree, e.Config)
		if err != nil {
			return "", err
		}
		path := filepath.Join(into, e.Name+"-"+e.Version+"-1.x86_64"+pkgfile.MediaSuffix)
		f, err := os.Create(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		if _, err := pkgfile.Write(ctx, f, m, inputs, pkgfile.Options{Level: Level, Signers: []*signing.PrivateKey{key}, Jobs: 1}); err != nil {
			return "", err
		}
		return path, f.Close()
	}
}

// inputsOf lists a tree with its modes and hard links; all is root's.
func inputsOf(tree string, config []string) ([]pkgfile.Input, error) {
	var inputs []pkgfile.Input
	first := map[uint64]string{}
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == tree {
			return err
		}
		rel, _ := filepath.Rel(tree, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := pkgfile.File{Path: rel, Owner: "root", Group: "root", Mode: bits(info.Mode())}
		in := pkgfile.Input{}
		switch st := info.Sys().(*syscall.Stat_t); {
		case d.IsDir():
			f.Type = pkgfile.TypeDir
		case d.Type() == fs.ModeSymlink:
			f.Type, f.Mode = pkgfile.TypeSymlink, 0o777
			f.Target, err = os.Readlink(path)
		case st.Nlink > 1 && first[st.Ino] != "":
			f = pkgfile.File{Path: rel, Type: pkgfile.TypeHardlink, Target: first[st.Ino]}
		default:
			first[st.Ino] = rel
			f.Type, f.Size, f.Config = pkgfile.TypeFile, info.Size(), slices.Contains(config, rel)
			in.Open = func() (io.ReadCloser, error) { return os.Open(path) }
		}
		in.File = f
		inputs = append(inputs, in)
		return err
	})
	return inputs, err
}

// bits are the permission bits of a mode as a package holds them.
func bits(mode fs.FileMode) uint32 {
	b := uint32(mode.Perm())
	for _, special := range []struct {
		mode fs.FileMode
		bit  uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if mode&special.mode != 0 {
			b |= special.bit
		}
	}
	return b
}
