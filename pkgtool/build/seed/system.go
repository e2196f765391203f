package seed

import (
	"strings"
)

// links are what the packages' install scripts would have made (Debian's
// alternatives); each is made in the layer that has its target.
var links = []struct{ name, target string }{
	{"usr/bin/aclocal", "aclocal-1.16"},
	{"usr/bin/automake", "automake-1.16"},
	{"usr/bin/awk", "gawk"},
	{"usr/bin/c++", "g++"},
	{"usr/bin/cc", "gcc"},
	{"usr/bin/cpp", "cpp-12"},
	{"usr/bin/lex", "flex"},
	{"usr/bin/pkg-config", "pkgconf"},
	{"usr/bin/sh", "bash"},
	{"usr/bin/which", "which.debianutils"},
	{"usr/bin/yacc", "bison.yacc"},
}

// rootLinks make the old folders lead into the merged /usr.
var rootLinks = []struct{ name, target string }{
	{"bin", "usr/bin"}, {"sbin", "usr/bin"}, {"lib", "usr/lib"}, {"lib64", "usr/lib"},
	{"usr/sbin", "bin"}, {"usr/lib64", "lib"},
}

const multiarchLoader = "x86_64-linux-gnu/ld-linux-x86-64.so.2"

// baseFolders are the empty folders of a root.
var baseFolders = []string{"dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/lib", "var/tmp"}

// baseFiles are the few files of a system that programs ask for.
var baseFiles = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
	"etc/group":         "root:x:0:\nnogroup:x:65534:\n",
	"etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	"etc/ld.so.conf":    "",
}

// addSystem makes what belongs to no package.
func (t *tree) addSystem() error {
	for _, l := range links {
		folder := l.name[:strings.LastIndexByte(l.name, '/')+1]
		if t.exists(folder+l.target) && !t.exists(l.name) {
			if err := t.symlink(l.name, l.target); err != nil {
				return err
			}
		}
	}
	switch t.layer {
	case LibcDevLayer:
		if err := t.mkdir("usr/lib"); err != nil {
			return err
		}
		return t.symlink("usr/lib/ld-linux-x86-64.so.2", multiarchLoader)
	case BaseLayer:
		return t.addBase()
	}
	return nil
}

func (t *tree) addBase() error {
	for _, dir := range baseFolders {
		if err := t.mkdir(dir); err != nil {
			return err
		}
	}
	for name, text := range baseFiles {
		if err := t.writeFile(name, false, strings.NewReader(text)); err != nil {
			return err
		}
	}
	for _, l := range rootLinks {
		if err := t.symlink(l.name, l.target); err != nil {
			return err
		}
	}
	return t.symlink("usr/lib/ld-seed.so.2", multiarchLoader)
}
