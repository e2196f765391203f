package netboot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"sync"
	"time"

	"ashlar/installer/report"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
)

// Phases that a server sees by itself; those of package report follow them.
const (
	Discovered = "discovered" // it asked what to start
	Loading    = "loader"     // it got a boot loader or its settings
	Kernel     = "kernel"     // it got the kernel
	Root       = "root"       // it got the root image
	Answers    = "answers"    // it got its answer file
	Local      = "local"      // it was left to its disk
)

// Status is what is known of one machine.
type Status struct {
	Name     string    `json:"name,omitempty"` // of the entry that matches
	MAC      string    `json:"mac"`
	Address  string    `json:"address,omitempty"`
	Serial   string    `json:"serial,omitempty"`
	UUID     string    `json:"uuid,omitempty"`
	Firmware string    `json:"firmware,omitempty"` // ipxe, uefi-http, uefi-pxe, bios-pxe
	Phase    string    `json:"phase"`
	Step     string    `json:"step,omitempty"`
	Done     int64     `json:"done,omitempty"` // bytes of the step
	Total    int64     `json:"total,omitempty"`
	Error    string    `json:"error,omitempty"`
	First    time.Time `json:"first"`             // when it was seen first
	Changed  time.Time `json:"changed"`           // when the phase began
	Last     time.Time `json:"last"`              // when it was heard of last
	Starts   int       `json:"starts"`            // how often it got a kernel
	Finished time.Time `json:"finished,omitzero"` // when it was installed; it starts from its disk then
}

// maxMachines bounds the memory that made-up addresses can take.
const maxMachines = 4096

// registry holds the status of all machines, and the file that it is kept in.
type registry struct {
	mu   sync.Mutex
	file string // "" keeps nothing
	all  map[string]*Status
	now  func() time.Time
	say  func(s Status) // called when a phase begins; may be nil
}

func openRegistry(file string, say func(Status)) (*registry, error) {
	r := &registry{file: file, all: map[string]*Status{}, now: time.Now, say: say}
	if file == "" {
		return r, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	var kept state
	if err := json.Unmarshal(text, &kept); err != nil || kept.Schema != 1 {
		return nil, fault.Mark(fmt.Errorf("%s is no state of netboot serve (%v)", file, err), fault.Usage, "name another file with --state")
	}
	for i := range kept.Machines {
		r.all[kept.Machines[i].MAC] = &kept.Machines[i]
	}
	return r, nil
}

// state is the content of the state file, and what /status answers.
type state struct {
	Schema   int      `json:"schema"` // 1
	Machines []Status `json:"machines"`
}

// get returns a copy of what is known of a machine.
func (r *registry) get(mac string) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.all[mac]; s != nil {
		return *s
	}
	return Status{MAC: mac}
}

// update changes what is known of a machine; change must not block. It reports
// false when there are too many machines.
func (r *registry) update(mac string, change func(*Status)) (Status, bool) {
	r.mu.Lock()
	now := r.now()
	s := r.all[mac]
	if s == nil {
		if len(r.all) >= maxMachines {
			r.mu.Unlock()
			return Status{MAC: mac}, false
		}
		s = &Status{MAC: mac, First: now}
		r.all[mac] = s
	}
	before := *s
	change(s)
	s.Last = now
	begins := s.Phase != before.Phase || s.Step != before.Step
	if begins {
		s.Changed = now
	}
	var err error
	if s.Finished != before.Finished || s.Serial != before.Serial {
		err = r.save()
	}
	after := *s
	r.mu.Unlock()
	if err != nil {
		after.Error = err.Error()
	}
	if (begins || err != nil) && r.say != nil {
		r.say(after)
	}
	return after, true
}

// reported takes in what the installer on a machine says.
func (r *registry) reported(mac string, m report.Message) {
	r.update(mac, func(s *Status) {
		s.Phase, s.Step, s.Done, s.Total, s.Error = m.Phase, m.Step, m.Done, m.Total, m.Error
		if m.Phase == report.Installed {
			s.Finished = r.now()
		}
	})
}

// again forgets that a machine, by name or address, was installed.
func (r *registry) again(name string) bool {
	found := false
	for _, s := range r.list() {
		if s.Name == name || s.MAC == name {
			found = true
			r.update(s.MAC, func(s *Status) { s.Finished, s.Phase, s.Step, s.Error = time.Time{}, Discovered, "", "" })
		}
	}
	return found
}

// list returns all machines, by name and address.
func (r *registry) list() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sorted()
}

func (r *registry) sorted() []Status {
	list := make([]Status, 0, len(r.all))
	for _, s := range r.all {
		list = append(list, *s)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].Name != list[j].Name {
			return list[i].Name < list[j].Name
		}
		return list[i].MAC < list[j].MAC
	})
	return list
}

// save writes the state file; the caller holds the lock.
func (r *registry) save() error {
	if r.file == "" {
		return nil
	}
	text, err := json.MarshalIndent(state{1, r.sorted()}, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(r.file, append(text, '\n'), 0o600)
}
