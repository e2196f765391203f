package debian

import (
	"path"
	"strings"
)

// moved are the folders of the root that a merged /usr has below usr.
var moved = []string{"bin", "sbin", "lib", "lib64", "lib32", "libx32"}

// Place returns where a member of a Debian package goes in a root with merged
// /usr: relative and clean, "" for the root itself.
func Place(member string) string {
	name := strings.TrimPrefix(path.Clean("/"+member), "/")
	first, _, _ := strings.Cut(name, "/")
	for _, m := range moved {
		if first == m {
			return "usr/" + name
		}
	}
	return name
}

// retarget returns the text that the symlink member, which now is at place,
// must have to lead where it led.
func retarget(member, place, target string) string {
	if path.IsAbs(target) || path.Clean("/"+member) == "/"+place {
		return target
	}
	return "/" + Place(path.Join("/", path.Dir(path.Clean("/"+member)), target))
}
