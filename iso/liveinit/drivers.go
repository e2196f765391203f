package main

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// drivers is what the initial RAM file system has of kernel modules; package
// iso/drivers lays them out.
type drivers struct {
	dir     string
	files   map[string]string   // name: file in dir
	needs   map[string][]string // name: what must be loaded first, in order
	aliases [][2]string         // pattern, name
	done    map[string]bool     // names that were tried, and aliases that were looked up
}

// readDrivers reads the lists in dir. Without them there are no drivers.
func readDrivers(dir string) *drivers {
	d := &drivers{dir: dir, files: map[string]string{}, needs: map[string][]string{}, done: map[string]bool{}}
	for _, f := range fieldsOf(dir + "/needs") {
		name, _, _ := strings.Cut(f[0], ".ko")
		d.files[name] = f[0]
		d.needs[name] = f[1:]
	}
	for _, f := range fieldsOf(dir + "/alias") {
		if len(f) == 2 {
			d.aliases = append(d.aliases, [2]string{underscores(f[0]), f[1]})
		}
	}
	return d
}

// fieldsOf returns the words of each line of a file that is not empty.
func fieldsOf(file string) (lines [][]string) {
	text, err := readFile(file, 4<<20)
	if err != nil {
		return nil
	}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 0 {
			lines = append(lines, f)
		}
	}
	return lines
}

// loadListed loads the drivers that are always wanted.
func (d *drivers) loadListed() {
	for _, f := range fieldsOf(d.dir + "/load") {
		d.load(f[0])
	}
}

// loadForDevices loads the drivers of the devices that the kernel has found by
// now. It costs little when there are no new ones.
func (d *drivers) loadForDevices() {
	if len(d.files) == 0 {
		return
	}
	buses, _ := listDir("/sys/bus")
	for _, bus := range buses {
		devices, _ := listDir("/sys/bus/" + bus + "/devices")
		for _, device := range devices {
			if text, err := readFile("/sys/bus/"+bus+"/devices/"+device+"/modalias", 4<<10); err == nil {
				d.loadFor(strings.TrimSpace(string(text)))
			}
		}
	}
}

// loadFor loads the drivers that answer to an alias or a name, and says whether
// there are any.
func (d *drivers) loadFor(alias string) (found bool) {
	if alias == "" || d.done["alias "+alias] {
		return false
	}
	d.done["alias "+alias] = true
	alias = underscores(alias)
	if _, ok := d.files[alias]; ok {
		return d.load(alias)
	}
	for _, a := range d.aliases {
		if ok, err := path.Match(a[0], alias); ok && err == nil {
			found = d.load(a[1]) || found
		}
	}
	return found
}

// load loads a driver and what it needs. One that does not fit the machine is
// not an error.
func (d *drivers) load(name string) bool {
	file, ok := d.files[name]
	if !ok || d.done[name] {
		return ok
	}
	d.done[name] = true
	for _, need := range d.needs[name] {
		d.load(need)
	}
	fd, err := unix.Open(d.dir+"/"+file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		say("driver " + name + ": " + message(err))
		return false
	}
	defer unix.Close(fd)
	flags := 0
	if !strings.HasSuffix(file, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	if err := unix.FinitModule(fd, "", flags); err != nil && err != unix.EEXIST && err != unix.ENODEV {
		say("driver " + name + ": " + message(err))
		return false
	}
	return true
}

// modprobe is what the kernel starts for a file system, a cipher or an array
// whose module is missing: modprobe -q -- NAME.
func modprobe(words []string) (status int) {
	d := readDrivers(modules)
	for _, word := range words {
		if !strings.HasPrefix(word, "-") && !d.loadFor(word) {
			status = 1
		}
	}
	return status
}

// underscores spells a name or pattern with _ for -, as the kernel does, but
// leaves ranges such as [0-9] alone.
func underscores(s string) string {
	b := []byte(s)
	inside := false
	for i, c := range b {
		switch {
		case c == '[':
			inside = true
		case c == ']':
			inside = false
		case c == '-' && !inside:
			b[i] = '_'
		}
	}
	return string(b)
}
