package seed

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// DebianMembers finds the control files and the file tree of a Debian binary
// package (deb(5)): an ar archive of exactly debian-binary, control.tar and
// data.tar, in this order. It is as strict as dpkg and returns the two tar
// archives' still compressed bytes.
func DebianMembers(file io.ReaderAt, size int64) (control, data *io.SectionReader, err error) {
	head := make([]byte, 8)
	if _, err := file.ReadAt(head, 0); err != nil || string(head) != "!<arch>\n" {
		return nil, nil, errors.New("not an ar archive")
	}
	at := int64(8)
	for i, want := range []string{"debian-binary", "control.tar", "data.tar"} {
		m, err := readMember(file, at, size)
		if err != nil {
			return nil, nil, fmt.Errorf("ar member %d: %w", i+1, err)
		}
		base := m.name
		if i > 0 {
			var suffix string
			base, suffix = cutSuffix(m.name, want)
			switch suffix {
			case "", ".gz", ".xz", ".zst", ".bz2":
			default:
				base = ""
			}
		}
		if base != want {
			return nil, nil, fmt.Errorf("ar member %d is %.20q, not %s", i+1, m.name, want)
		}
		switch i {
		case 0:
			version := make([]byte, m.size)
			if m.size > 64 {
				return nil, nil, errors.New("debian-binary is too long")
			}
			if _, err := file.ReadAt(version, m.at); err != nil {
				return nil, nil, err
			}
			if !strings.HasPrefix(string(version), "2.") {
				return nil, nil, fmt.Errorf("package format %.10q is not 2", version)
			}
		case 1:
			control = io.NewSectionReader(file, m.at, m.size)
		case 2:
			return control, io.NewSectionReader(file, m.at, m.size), nil
		}
		at = m.at + m.size + m.size%2
	}
	panic("unreachable: the loop returns at its last member")
}

func cutSuffix(name, base string) (string, string) {
	if rest, ok := strings.CutPrefix(name, base); ok {
		return base, rest
	}
	return name, ""
}

type member struct {
	name     string
	at, size int64
}

// readMember reads the 60-byte header at offset at.
func readMember(file io.ReaderAt, at, fileSize int64) (member, error) {
	var m member
	header := make([]byte, 60)
	if at > fileSize-60 {
		return m, io.ErrUnexpectedEOF
	}
	if _, err := file.ReadAt(header, at); err != nil {
		return m, err
	}
	if string(header[58:]) != "`\n" {
		return m, errors.New("bad header")
	}
	m.name = strings.TrimSuffix(strings.TrimRight(string(header[:16]), " "), "/")
	size, err := strconv.ParseInt(strings.TrimRight(string(header[48:58]), " "), 10, 64)
	if err != nil || size < 0 || size > fileSize-at-60 {
		return m, fmt.Errorf("bad size %q", header[48:58])
	}
	m.at, m.size = at+60, size
	return m, nil
}
