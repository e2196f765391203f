package data

import (
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// deb writes a package with dpkg-deb, with checksums of the files and without
// maintainer scripts.
func deb(ctx context.Context, e *Entry, tree, into string) (string, error) {
	dir := filepath.Join(tree, "DEBIAN")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	control := fmt.Sprintf("Package: %s\nVersion: %s-1\nArchitecture: amd64\nMaintainer: Benchmark <root@localhost>\nInstalled-Size: %d\nDescription: %s\n",
		e.Name, e.Version, e.Size/1024, e.Summary)
	if len(e.Requires) > 0 {
		control += "Depends: " + strings.Join(e.Requires, ", ") + "\n"
	}
	files := map[string]string{"control": control}
	if len(e.Config) > 0 {
		files["conffiles"] = "/" + strings.Join(e.Config, "\n/") + "\n"
	}
	sums, err := md5sums(tree)
	if err != nil {
		return "", err
	}
	files["md5sums"] = sums
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	file := filepath.Join(into, e.Name+"_"+e.Version+"-1_amd64.deb")
	// --nocheck: names like NAME~suffix of Debian's own packages are no concern here.
	return file, run(ctx, "dpkg-deb", "--nocheck", "-Zzstd", "-z"+strconv.Itoa(Level), "--root-owner-group", "-b", tree, file)
}

// md5sums is the list by which dpkg --verify checks files.
func md5sums(tree string) (string, error) {
	var list strings.Builder
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(tree, path)
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		sum := md5.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		fmt.Fprintf(&list, "%x  %s\n", sum.Sum(nil), rel)
		return nil
	})
	return list.String(), err
}
