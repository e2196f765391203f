// Package mounts reads where file systems are mounted.
package mounts

import (
	"os"
	"strings"
)

// Below returns the places below a folder, given by its absolute path without
// symbolic links, where something is mounted, relative to it. It is what this
// process sees: /proc/self/mountinfo.
func Below(dir string) ([]string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	prefix := strings.TrimSuffix(dir, "/") + "/"
	var below []string
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if at, ok := strings.CutPrefix(unescape(fields[4]), prefix); ok && at != "" {
			below = append(below, at)
		}
	}
	return below, nil
}

// unescape undoes the escapes of mountinfo, see proc(5).
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
