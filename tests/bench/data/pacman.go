package data

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// pacman writes a package with bsdtar, as makepkg does.
func pacman(ctx context.Context, e *Entry, tree, into string) (string, error) {
	work, err := os.MkdirTemp(into, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	info := fmt.Sprintf("pkgname = %s\npkgbase = %s\npkgver = %s-1\npkgdesc = %s\nbuilddate = %d\nsize = %d\narch = x86_64\n",
		e.Name, e.Name, e.Version, e.Summary, epochs[e.Version], e.Size)
	for _, c := range e.Config {
		info += "backup = " + c + "\n"
	}
	for _, name := range e.Requires {
		info += "depend = " + name + "\n"
	}
	if err := os.WriteFile(filepath.Join(work, ".PKGINFO"), []byte(info), 0o644); err != nil {
		return "", err
	}
	tops, err := os.ReadDir(tree)
	if err != nil {
		return "", err
	}
	var names []string
	for _, t := range tops {
		names = append(names, shellQuote(t.Name()))
	}
	file := filepath.Join(into, fmt.Sprintf("%s-%s-1-x86_64.pkg.tar.zst", e.Name, e.Version))
	script := fmt.Sprintf(`set -e
bsdtar -czf %[1]s/.MTREE --uid 0 --gid 0 --format=mtree --options='!all,use-set,type,uid,gid,mode,time,size,md5,sha256,link' -C %[1]s .PKGINFO -C %[2]s %[3]s
bsdtar -cf - --uid 0 --gid 0 --uname root --gname root -C %[1]s .MTREE .PKGINFO -C %[2]s %[3]s >%[1]s/all.tar
zstd -q -%[4]s -T1 %[1]s/all.tar -o %[5]s`, shellQuote(work), shellQuote(tree), strings.Join(names, " "), strconv.Itoa(Level), shellQuote(file))
	return file, run(ctx, "sh", "-c", script)
}
