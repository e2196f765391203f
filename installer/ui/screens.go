package ui

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"ashlar/installer"

	"charm.land/huh/v2"
)

// screen is one page of the form.
type screen struct {
	title  string
	help   string
	text   func() string // to read, below help; nil is none
	on     []any         // what text depends on
	show   func() bool   // nil is always
	items  []func() item // made when the screen is shown
	secret bool          // what is typed is not shown
}

// item is a field, and its words for line by line.
type item = huh.Field

// style makes fields the way the terminal needs them.
type style struct{ plain, secret bool }

// input is a line of text with a default, in value.
func (s style) input(title, help string, value *string, check func(string) error) item {
	f := huh.NewInput().Title(s.title(title, *value)).Description(help).Value(value)
	return f.Validate(func(text string) error {
		text = strings.TrimSpace(text)
		if s.plain && text == "" {
			text = *value // the default, which is what an empty line means
		}
		return check(text)
	})
}

// title shows the default where the field itself does not.
func (s style) title(title, value string) string {
	switch {
	case !s.plain:
		return title
	case value == "":
		return title + ":"
	}
	return title + " [" + value + "]:"
}

// password is a line that is not shown, if the terminal can do that.
func (s style) password(title, help string, value *string, check func(string) error) item {
	f := huh.NewInput().Title(s.title(title, "")).Description(help).Value(value).Validate(check)
	if s.secret {
		f = f.EchoMode(huh.EchoModePassword)
	}
	return f
}

// choose is a choice of one.
func choose[T comparable](s style, title, help string, value *T, check func(T) error, options ...huh.Option[T]) item {
	if s.plain {
		for i, o := range options {
			if o.Value == *value {
				title += fmt.Sprintf(" (an empty line means %d)", i+1)
			}
		}
	}
	f := huh.NewSelect[T]().Title(title).Description(help).Options(options...).Value(value)
	if check != nil {
		f = f.Validate(check)
	}
	return f
}

// note is a screen's text to read, made anew when what it depends on changes.
func (s screen) note() item {
	// The marks of a note's markup stay as they are.
	escape := strings.NewReplacer("_", `\_`, "*", `\*`, "`", "\\`")
	return huh.NewNote().DescriptionFunc(func() string { return escape.Replace(s.text()) }, s.on)
}

// several is a choice of any number. Line by line it is one line of numbers.
func several(s style, title string, value *[]string, offers []Offer) item {
	if !s.plain {
		var options []huh.Option[string]
		for _, o := range offers {
			options = append(options, huh.NewOption(o.Name+"  "+o.Summary, o.Name))
		}
		return huh.NewMultiSelect[string]().Title(title).Options(options...).Value(value)
	}
	for i, o := range offers {
		title += fmt.Sprintf("\n%d. %s  %s", i+1, o.Name, o.Summary)
	}
	return huh.NewInput().Title(title + "\nNumbers, with blanks between them, or an empty line for nothing:").Validate(func(text string) error {
		*value = nil
		for _, word := range strings.Fields(text) {
			n, err := strconv.Atoi(word)
			if err != nil || n < 1 || n > len(offers) {
				return fmt.Errorf("%s is no number between 1 and %d", word, len(offers))
			}
			*value = append(*value, offers[n-1].Name)
		}
		return nil
	})
}

var hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

func checkHostname(name string) error {
	if !hostname.MatchString(name) || len(name) > 253 {
		return errors.New("a host name has small letters, digits and -, in parts with dots between them")
	}
	return nil
}

const minPassword = 8

func checkPassword(text string) error {
	if text != "" && len(text) < minPassword {
		return fmt.Errorf("at least %d characters; or none, and nobody logs in as root with a password", minPassword)
	}
	return nil
}

// diskLine is a disk in one line.
func diskLine(d installer.Disk) string {
	words := []string{d.Path, installer.FormatSize(d.Size)}
	if d.Model != "" {
		words = append(words, d.Model)
	}
	if d.Serial != "" {
		words = append(words, "serial "+d.Serial)
	}
	line := strings.Join(words, "  ")
	if d.Holds != "" {
		return line + "  holds " + d.Holds + ", which would be ERASED"
	}
	return line + "  blank"
}

// screens are the pages, in their order. The fields bind to c.
func (c *choices) screens(s style) []screen {
	var disks []huh.Option[string]
	for _, d := range c.usable() {
		disks = append(disks, huh.NewOption(diskLine(d), d.Path))
	}
	machine := []func() item{
		func() item {
			return s.input("Host name", "as others reach it: node1, or node1.example.org", &c.hostname, checkHostname)
		},
		func() item {
			return s.input("Time zone, as Europe/Berlin, or nothing for UTC", "", &c.timezone, func(text string) error {
				return c.checkWith(func(trial *choices) { trial.timezone = text })
			})
		},
		func() item {
			return s.input("SSH key of root, as ssh-ed25519 AAAA..., or nothing", "", &c.sshKey, func(text string) error {
				return c.checkWith(func(trial *choices) { trial.sshKey = text })
			})
		},
	}
	if c.facts.Setup {
		machine = append(machine, func() item {
			return choose(s, "Secure Boot", "", &c.secureBoot, func(on bool) error {
				return c.checkWith(func(trial *choices) { trial.secureBoot = on })
			}, huh.NewOption("stays off", false), huh.NewOption("on: sign what starts, and give the firmware this system's key", true))
		})
	}
	list := []screen{
		{title: "Disk", help: "The system takes the whole disk. Disks in use are not listed.", items: []func() item{
			func() item { return choose(s, "Install on", "", &c.disk, nil, disks...) },
		}},
		{title: "Layout", help: "Arrays of two disks need an answer file.", items: []func() item{
			func() item {
				return choose(s, "The system is on", "", &c.layout, nil,
					huh.NewOption("a partition", "plain"), huh.NewOption("logical volumes (LVM)", "lvm"),
					huh.NewOption("an encrypted partition (LUKS2)", "luks"), huh.NewOption("logical volumes on an encrypted partition", "luks+lvm"))
			},
			func() item {
				return choose(s, "File system", "", &c.filesystem, nil, huh.NewOption("ext4", "ext4"), huh.NewOption("xfs", "xfs"), huh.NewOption("btrfs", "btrfs"))
			},
			func() item {
				return s.input("Swap, as 2G, or nothing", "", &c.swap, func(text string) error {
					return c.checkWith(func(trial *choices) { trial.swap = text })
				})
			},
		}},
		{title: "Encryption", show: func() bool { return c.encrypted() && c.facts.TPM }, items: []func() item{
			func() item {
				return choose(s, "The disk is opened by", "", &c.tpm, nil,
					huh.NewOption("this machine's TPM, or the passphrase in /root/disk-recovery-key", true), huh.NewOption("a passphrase that is typed at each start", false))
			},
		}},
		{title: "Machine", items: machine},
		{title: "Root", help: "Without a password nobody logs in as root with one.", secret: true, items: []func() item{
			func() item { return s.password("Password of root", "", &c.password, checkPassword) },
			func() item {
				return s.password("The same again", "", &c.again, func(text string) error {
					if text != c.password {
						return errors.New("it is not the same")
					}
					return nil
				})
			},
		}},
	}
	if len(c.facts.Offers) > 0 {
		list = append(list, screen{title: "Software", help: "Everything else can be installed later.", items: []func() item{
			func() item {
				return several(s, "Install besides", &c.extras, c.facts.Offers)
			},
		}})
	}
	return append(list,
		screen{title: "Summary", on: []any{&c.disk, &c.layout, &c.filesystem, &c.swap, &c.tpm, &c.hostname, &c.timezone, &c.sshKey, &c.secureBoot, &c.extras}, text: func() string {
			text, err := c.summary()
			if err != nil {
				return "This cannot be done: " + err.Error()
			}
			return text
		}, items: []func() item{
			func() item {
				return choose(s, "Now", "", &c.decision, func(d Decision) error {
					if d == Quit {
						return nil
					}
					_, err := c.summary()
					return err
				}, huh.NewOption("install", Install), huh.NewOption("only write the answer file", Save), huh.NewOption("quit, and write nothing", Quit))
			},
		}},
		screen{title: "Last question", show: func() bool { return c.decision == Install }, items: []func() item{
			func() item {
				title := func() string { return "Type " + path.Base(c.disk) + " to install on it" }
				return s.input(title(), "Everything on it is lost.", &c.confirmed, func(text string) error {
					if text != path.Base(c.disk) && text != c.disk {
						return fmt.Errorf("to install, type %s; Ctrl-C ends without having changed anything", path.Base(c.disk))
					}
					return nil
				}).(*huh.Input).TitleFunc(func() string { return s.title(title(), "") }, &c.disk)
			},
		}},
	)
}
