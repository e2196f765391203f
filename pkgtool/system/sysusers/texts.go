package sysusers

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// Texts are the contents of the four files below etc/; nil where there is none.
type Texts struct{ Passwd, Group, Shadow, Gshadow []byte }

// database reads names and numbers of a passwd or group file. Where a name or
// number stands twice, the first line counts, as for the C library.
func database(text []byte) (ids map[string]uint32, names map[uint32]string) {
	ids, names = map[string]uint32{}, map[uint32]string{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimRight(line, "\n"), ":")
		if foreign(line) || len(fields) < 3 {
			continue
		}
		id, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil {
			continue
		}
		if _, known := ids[fields[0]]; !known {
			ids[fields[0]] = uint32(id)
		}
		if _, known := names[uint32(id)]; !known {
			names[uint32(id)] = fields[0]
		}
	}
	return ids, names
}

// foreign lines take in users of a directory service; they stand at the end.
func foreign(line string) bool { return line != "" && (line[0] == '+' || line[0] == '-') }

// insert adds lines at the end, but before those of a directory service.
func insert(text, lines []byte) []byte {
	if len(lines) == 0 {
		return text
	}
	place := 0
	for line := range bytes.Lines(text) {
		if foreign(string(line)) {
			break
		}
		place += len(line)
	}
	before := slices.Clone(text[:place])
	if n := len(before); n > 0 && before[n-1] != '\n' {
		before = append(before, '\n')
	}
	return slices.Concat(before, lines, text[place:])
}

// addMembers adds to the lines of a group or gshadow file the members that
// groups lack. The members of a changed group are sorted.
func addMembers(text []byte, members map[string][]string) ([]byte, []Note) {
	var out bytes.Buffer
	var notes []Note
	for line := range strings.Lines(string(text)) {
		body := strings.TrimRight(line, "\n")
		fields := strings.Split(body, ":")
		wanted := members[fields[0]]
		if len(fields) != 4 || foreign(line) {
			out.WriteString(line)
			continue
		}
		var list []string
		if fields[3] != "" {
			list = strings.Split(fields[3], ",")
		}
		had := len(list)
		for _, name := range wanted {
			if !slices.Contains(list, name) {
				list = append(list, name)
				notes = append(notes, Note{What: "member", Name: name, Text: fields[0]})
			}
		}
		if len(list) == had {
			out.WriteString(line)
			continue
		}
		slices.Sort(list)
		fields[3] = strings.Join(slices.Compact(list), ",")
		out.WriteString(strings.Join(fields, ":") + line[len(body):])
	}
	if notes == nil {
		return text, nil
	}
	return out.Bytes(), notes
}
