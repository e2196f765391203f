package main

import "strings"

// parameters is what the kernel command line says to this program.
type parameters struct {
	label  string // volume name of the medium
	root   string // the root image, relative to the medium
	init   string
	memory string
	disk   string // UUID of the file system to start from, instead of a medium
	// What that file system stands on, lowest first, by the names that other
	// initial RAM file systems have for these parameters (dracut.cmdline(7)).
	arrays    []string // rd.md.uuid=: arrays
	encrypted []string // rd.luks.uuid=: encrypted devices
	volumes   []string // rd.lvm.lv=: logical volumes, VG/LV
	tpm       bool     // rd.luks.options=tpm2-device=: a TPM may open encrypted devices
	seconds   int
	toRAM     bool
	rescue    bool     // a root shell; systemd has parameters of its own for that
	unknown   []string // ashlar.* parameters that this program does not know
}

// defaultInit is what a system of any kind has; systemdInit is there even where
// nobody made the link.
const (
	defaultInit = "/sbin/init"
	systemdInit = "/usr/lib/systemd/systemd"
)

// maxWait bounds ashlar.wait, in seconds.
const maxWait = 3600

// parseCmdline reads the parameters. Unknown ashlar.* parameters may be meant
// for a program of the system; they are listed, because one may be misspelt.
func parseCmdline(line string) (*parameters, error) {
	p := &parameters{label: "ASHLAR", root: "live/root.squashfs", init: defaultInit, memory: "50%", seconds: 60}
	for _, word := range splitWords(line) {
		if word == "--" { // what follows is for init
			break
		}
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "ashlar.medium":
			p.label = value
		case "ashlar.root":
			p.root = strings.TrimLeft(value, "/")
		case "ashlar.memory":
			p.memory = value
		case "ashlar.toram":
			p.toRAM = value != "0"
		case "ashlar.rescue":
			p.rescue = true
		case "rd.md.uuid":
			p.arrays = append(p.arrays, strings.ToLower(value))
		case "rd.luks.uuid":
			p.encrypted = append(p.encrypted, strings.ToLower(strings.TrimPrefix(value, "luks-")))
		case "rd.luks.options": // for all devices, or UUID=OPTIONS for one
			p.tpm = p.tpm || strings.Contains(value, "tpm2-device=")
		case "rd.lvm.lv":
			p.volumes = append(p.volumes, value)
		case "ashlar.generation", "ashlar.boot": // for the program recover
		case "ashlar.wait":
			n, ok := number(value)
			if !ok || n > maxWait {
				return nil, failure("kernel parameter " + word + ": not a number of seconds up to 3600")
			}
			p.seconds = n
		case "init":
			p.init = value
		case "root":
			if id, ok := strings.CutPrefix(value, "UUID="); ok {
				p.disk = strings.ToLower(id)
			}
		default:
			if strings.HasPrefix(key, "ashlar.") {
				p.unknown = append(p.unknown, key)
			}
		}
	}
	switch {
	case p.label == "" || len(p.label) > 32:
		return nil, failure("kernel parameter ashlar.medium: a volume name has 1 to 32 characters")
	case p.root == "" || strings.Contains("/"+p.root+"/", "/../"):
		return nil, failure("kernel parameter ashlar.root: not a path on the medium")
	case !strings.HasPrefix(p.init, "/"):
		return nil, failure("kernel parameter init: not an absolute path")
	case p.memory == "" || strings.Contains(p.memory, ","):
		return nil, failure("kernel parameter ashlar.memory: not a size")
	}
	return p, nil
}

// splitWords splits like the kernel does: at white space outside double quotes,
// which are dropped.
func splitWords(line string) (words []string) {
	var word []byte
	quoted, open := false, false
	for i := range len(line) {
		c := line[i]
		switch {
		case c == '"':
			quoted, open = !quoted, true
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == 0):
			if open {
				words = append(words, string(word))
			}
			word, open = nil, false
		default:
			word, open = append(word, c), true
		}
	}
	if open {
		words = append(words, string(word))
	}
	return words
}

// number reads a small decimal number.
func number(s string) (n int, ok bool) {
	if s == "" || len(s) > 6 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, true
}
