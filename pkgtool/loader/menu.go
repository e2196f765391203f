package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"ashlar/pkgtool/fault"
)

// Where GRUB looks, on the EFI system partition.
const (
	MarkerPath = ".ashlar-medium" // tells GRUB which file system is ours
	ConfigPath = "boot/grub/grub.cfg"
	StatePath  = "boot/grub/grubenv"
	LoaderPath = "EFI/BOOT/BOOTX64.EFI"
)

func menuPath(menu string) string { return "boot/grub/menu-" + menu + ".cfg" }

// Config is GRUB's configuration. It never changes; what does is in the
// environment block and the menus.
//
// Nobody may edit an entry or use GRUB's command line, but the owner if there is a
// password: see [PasswordPath].
//
// A generation with tries left loses one before it starts. When none is left the
// last good one starts, and its initial RAM file system rolls the system back.
const Config = `# Made by pkgtool; pkgtool loader list shows what starts.
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set superusers=owner
export superusers
# GRUB writes it, so it has no signature; no setting that it may hold can do harm.
load_env --skip-sig menu generation tries good
set timeout=2
set mode=default
if [ "$tries" = 3 ]; then set tries=2; save_env tries
elif [ "$tries" = 2 ]; then set tries=1; save_env tries
elif [ "$tries" = 1 ]; then set tries=0; save_env tries
elif [ "$tries" = 0 ]; then
	echo "generation $generation did not start; starting generation $good"
	set generation=$good
	set mode=fallback
fi
set default=g$generation
if [ "$menu" != b ]; then set menu=a; fi
if [ ! -f $prefix/menu-$menu.cfg ]; then
	if [ "$menu" = b ]; then set menu=a; else set menu=b; fi
fi
source $prefix/menu-$menu.cfg
`

// PasswordPath holds what grub-mkpasswd-pbkdf2 printed (grub.pbkdf2.sha512...): with
// it the user "owner" may edit entries and use GRUB's command line. Without the
// file nobody may.
const PasswordPath = "etc/ashlar/boot-password"

var passwordPattern = regexp.MustCompile(`^grub\.pbkdf2\.sha512\.[0-9]{1,9}(\.[0-9A-Fa-f]+){2}$`)

// readPassword returns the hash of the owner's password, "" if there is none.
func readPassword(root fs.FS) (string, error) {
	text, err := fs.ReadFile(root, PasswordPath)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	hash := strings.TrimSpace(string(text))
	if len(hash) > 1024 || !passwordPattern.MatchString(hash) {
		return "", fault.Errorf(fault.Usage, "/%s does not hold a hash that grub-mkpasswd-pbkdf2 makes (grub.pbkdf2.sha512...); put one there, or remove the file", PasswordPath)
	}
	return hash, nil
}

// menu writes the entries for GRUB, the newest first, and who may change them.
func menu(entries []*Entry, good int, password string) ([]byte, error) {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b *Entry) int { return b.Generation - a.Generation })
	var b strings.Builder
	if password != "" {
		fmt.Fprintf(&b, "password_pbkdf2 owner %s\n", password)
	}
	for _, e := range sorted {
		if err := item(&b, e, e.Title, fmt.Sprintf("g%d", e.Generation), ""); err != nil {
			return nil, err
		}
	}
	for _, e := range sorted {
		if e.Generation == good || good == 0 && e == sorted[0] {
			if err := item(&b, e, "Rescue: a root shell on "+e.Title, "rescue", rescueOptions); err != nil {
				return nil, err
			}
			break
		}
	}
	return []byte(b.String()), nil
}

// rescueOptions start as little as possible: systemd's rescue target, or a shell
// in its place where another init starts.
const rescueOptions = " systemd.unit=rescue.target ashlar.rescue"

// item writes one entry. GRUB knows which one runs (chosen), but no longer which one
// is the default.
func item(b *strings.Builder, e *Entry, title, id, more string) error {
	options, err := quote(e.Options + more)
	if err != nil {
		return err
	}
	name, err := quoteOne(title)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "menuentry %s --id %s --unrestricted {\n\tif [ \"$chosen\" != \"g$generation\" ]; then set mode=chosen; fi\n", name, id)
	fmt.Fprintf(b, "\tset loaded=\n\tif linux %s %s ashlar.generation=%d ashlar.boot=$mode; then\n\t\t", e.Kernel, options, e.Generation)
	if e.Initrd != "" {
		fmt.Fprintf(b, "if initrd %s; then set loaded=1; fi\n", e.Initrd)
	} else {
		b.WriteString("set loaded=1\n")
	}
	// GRUB would wait in its menu for ever, and nobody may be there.
	b.WriteString("\tfi\n\tif [ -z \"$loaded\" ]; then\n\t\techo 'the kernel or its initial RAM file system cannot be loaded'\n\t\tsleep 3\n" +
		"\t\tif [ \"$mode\" = default -a -n \"$tries\" ]; then reboot; fi\n\tfi\n}\n")
	return nil
}

// quote makes each word safe for GRUB's script language.
func quote(line string) (string, error) {
	words := strings.Fields(line)
	for i, word := range words {
		var err error
		if words[i], err = quoteOne(word); err != nil {
			return "", err
		}
	}
	return strings.Join(words, " "), nil
}

func quoteOne(text string) (string, error) {
	if strings.ContainsAny(text, "'\n\r\x00") {
		return "", fault.Mark(fmt.Errorf("the boot loader cannot pass on %q: it holds a single quote or a line break", text), fault.Usage, "change /etc/kernel/cmdline")
	}
	return "'" + text + "'", nil
}
