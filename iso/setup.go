package iso

import "ashlar/iso/tree"

// Setup is what a definition says of a system besides its packages. The
// installer's answers say the same in the same words.
type Setup struct {
	Timezone, Locale, Keymap string
	Services                 *Services
	Users                    []User
	Repositories             []Repository
	Files                    []File
}

func (s Setup) image() *Image {
	return &Image{Timezone: s.Timezone, Locale: s.Locale, Keymap: s.Keymap, Services: s.Services, Users: s.Users,
		Repositories: s.Repositories, Files: s.Files}
}

// Check returns the first mistake of each part.
func (s Setup) Check() []error {
	m := s.image()
	var problems []error
	for _, check := range []func() error{m.checkFiles, m.checkSettings, m.checkServices, m.checkUsers} {
		if err := check(); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// Entries returns what has to be put into a system that consists of base: of
// that, the account files are read. Modification times are when, in seconds.
func (s Setup) Entries(base []tree.Entry, when int64) ([]tree.Entry, error) {
	m := s.image()
	added, err := m.additions()
	if err != nil {
		return nil, err
	}
	for i := range added {
		added[i].ModTime = when
	}
	accounts, err := m.settings(base, when)
	return append(accounts, added...), err
}

// writtenBy is the first line of files that are made.
func (m *Image) writtenBy() string {
	if m.Name == "" {
		return "# Written by the installer.\n"
	}
	return "# Written by the image definition " + m.Name + ".\n"
}
