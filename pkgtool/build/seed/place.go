package seed

import (
	"path"
	"strings"
)

// moved are the folders that a merged /usr has elsewhere.
var moved = []struct{ from, to string }{
	{"usr/sbin", "usr/bin"}, {"usr/lib64", "usr/lib"},
	{"bin", "usr/bin"}, {"sbin", "usr/bin"}, {"lib64", "usr/lib"}, {"lib", "usr/lib"},
}

// merged returns the place of name in a root where /usr and sbin are merged.
func merged(name string) string {
	for _, m := range moved {
		if name == m.from {
			return m.to
		}
		if rest, ok := strings.CutPrefix(name, m.from+"/"); ok {
			return m.to + "/" + rest
		}
	}
	return name
}

// dropped are folders and files that no build needs, by their merged path.
var dropped = []string{
	"usr/share/bash-completion", "usr/share/bug", "usr/share/doc", "usr/share/doc-base", "usr/share/emacs",
	"usr/share/fish", "usr/share/gdb", "usr/share/icons", "usr/share/info", "usr/share/lintian",
	"usr/share/locale", "usr/share/man", "usr/share/menu", "usr/share/pixmaps", "usr/share/applications",
	"usr/share/vim", "usr/share/zsh", "usr/share/initramfs-tools", "usr/share/polkit-1", "usr/share/dbus-1",
	"usr/lib/systemd", "usr/lib/tmpfiles.d", "usr/lib/sysusers.d", "usr/lib/udev", "usr/lib/modprobe.d",
	"usr/lib/init", "usr/lib/lsb", "usr/lib/os-release", "usr/share/common-licenses",
	"usr/lib/x86_64-linux-gnu/pkgconfig", "usr/lib/pkgconfig", "usr/share/pkgconfig",
}

// keptEtc are the folders of /etc that programs of the seed read.
var keptEtc = []string{"etc/perl", "etc/python3", "etc/python3.11", "etc/ssl", "etc/texinfo"}

// place returns where a package's member goes in the layer's tree, or "" for
// what is left out.
func place(layer, member string) string {
	name := merged(strings.TrimSuffix(strings.TrimPrefix(member, "./"), "/"))
	switch {
	case below(name, "usr"):
	case below(name, "etc"):
		for _, kept := range keptEtc {
			if below(name, kept) {
				return name
			}
		}
		return ""
	default:
		return ""
	}
	for _, d := range dropped {
		if below(name, d) {
			return ""
		}
	}
	if layer == LibcDevLayer {
		return name
	}
	if name == "usr/lib/ld-linux-x86-64.so.2" {
		return "" // the target's loader; the seed's own is ld-seed.so.2
	}
	if below(name, "usr/include") && !below(name, "usr/include/c++") && !below(name, "usr/include/x86_64-linux-gnu/c++") {
		return "" // headers are the target's, but for the compiler's own
	}
	return name
}

func below(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

// retarget returns the target that the symlink member, now at place, must have
// to lead to the same file in a merged tree: always relative, so that a tree
// looked at from outside does not lead into the host.
func retarget(member, at, target string) string {
	absolute := target
	if !path.IsAbs(target) {
		absolute = path.Join("/", path.Dir(strings.TrimPrefix(member, "./")), target)
	}
	to := merged(strings.TrimPrefix(path.Clean(absolute), "/"))
	return relative(path.Dir(at), to)
}

// relative returns the path from folder dir to name, both clean and relative
// to the same root.
func relative(dir, name string) string {
	from, to := strings.Split(dir, "/"), strings.Split(name, "/")
	if dir == "." || dir == "" {
		from = nil
	}
	if name == "" || name == "." {
		to = nil
	}
	common := 0
	for common < len(from) && common < len(to) && from[common] == to[common] {
		common++
	}
	parts := append(strings.Split(strings.Repeat("../", len(from)-common), "/"), to[common:]...)
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return "."
	}
	return strings.Join(out, "/")
}
