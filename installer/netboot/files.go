package netboot

import (
	"bytes"
	"io"
	"net"
	"regexp"
	"strings"
	"time"
)

// file is something that a machine loads.
type file struct {
	content io.ReadSeeker
	size    int64
	changed time.Time
	kind    string // media type
}

func (s *server) text(content string) *file {
	return &file{strings.NewReader(content), int64(len(content)), time.Time{}, "text/plain; charset=utf-8"}
}

var asked = regexp.MustCompile(`^as-(.*)\.(ipxe|cfg)$`)

// maxSerial is more than SMBIOS strings have in practice.
const maxSerial = 128

// splitPath takes m/MAC/NAME apart.
func splitPath(path string) (mac, name string, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 3)
	if len(parts) != 3 || parts[0] != "m" {
		return "", "", false
	}
	address, err := net.ParseMAC(parts[1])
	if err != nil || len(address) != 6 {
		return "", "", false
	}
	return address.String(), parts[2], true
}

// file returns what a machine asks for and notes that it did; nil if there is
// no such thing. start is false for a look that fetches nothing (HEAD).
func (s *server) file(mac, name, address string, start bool) *file {
	note := func(phase string) Status {
		st, _ := s.registry.update(mac, func(st *Status) {
			if start {
				st.Phase, st.Step, st.Done, st.Total, st.Error = phase, "", 0, 0, ""
			}
			if address != "" {
				st.Address = address
			}
		})
		return st
	}
	if m := asked.FindStringSubmatch(name); m != nil && len(m[1]) <= maxSerial {
		return s.text(s.script(mac, m[1], m[2]))
	}
	switch name {
	case "boot.ipxe":
		return s.text(s.ask("ipxe", mac))
	case "grub.cfg":
		// GRUB complains on the screen where there is no serial number.
		if list, st := s.machines(), s.registry.get(mac); !list.bySerial() || list.find(mac, st.Serial, st.UUID) != nil {
			return s.text(s.script(mac, "", "cfg"))
		}
		return s.text(s.ask("grub", mac))
	case loaderEFI:
		st := note(Loading)
		loader, err := s.image.loaderFor(s.loaderCommands(mac, st.Firmware))
		if err != nil {
			s.say("%s: %v", mac, err)
			return nil
		}
		return &file{bytes.NewReader(loader), int64(len(loader)), s.image.changed, "application/efi"}
	case loaderBIOS:
		note(Loading)
		return s.part(name)
	case "vmlinuz":
		note(Kernel)
		if start {
			s.registry.update(mac, func(st *Status) { st.Starts++ })
		}
		return s.part(name)
	case "root.img":
		note(Root)
		return s.part(name)
	case "initrd.img":
		return s.part(name)
	}
	return nil
}

// part is a file of the image.
func (s *server) part(name string) *file {
	content := s.image.open(name)
	if content == nil {
		return nil
	}
	return &file{content, content.Size(), s.image.changed, "application/octet-stream"}
}

// script decides, now that the serial number is known as well as it will be,
// what a machine starts.
func (s *server) script(mac, serial, kind string) string {
	st, ok := s.registry.update(mac, func(st *Status) {
		if serial != "" {
			st.Serial = serial
		}
	})
	list := s.machines()
	entry, start := list.decide(st, true)
	if !ok || !start {
		s.name(mac, entry, Local)
		return leave(kind)
	}
	s.name(mac, entry, Loading)
	return s.start(kind, mac, s.cmdlineOf(list, entry, mac))
}

// name notes which entry a machine is, and its phase.
func (s *server) name(mac string, e *Machine, phase string) {
	s.registry.update(mac, func(st *Status) {
		st.Name = ""
		if e != nil {
			st.Name = e.Name
		}
		st.Phase = phase
	})
}
