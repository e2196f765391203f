package iso

import (
	"fmt"
	"strings"
)

// grubConfig returns the boot menu. GRUB's core, started from the medium, looks
// for /.ashlar-medium and reads this file. Console and serial line show the
// menu both; a machine without a serial line loses nothing.
//
// Under Secure Boot the kernel is locked down and loads signed modules only, and
// nobody may edit an entry: GRUB's console could switch off its own checks.
func (a *assembly) grubConfig() []byte {
	m := a.Image
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("serial --unit=0 --speed=115200")
	p("terminal_input console serial")
	p("terminal_output console serial")
	p("set default=0")
	p("set timeout=%d", *m.Timeout)
	cmdline, unrestricted := m.Cmdline, ""
	if a.SecureBoot != nil {
		p("set superusers=owner")
		p(`if [ "$lockdown" = y ]; then set locked="lockdown=integrity module.sig_enforce=1"; fi`)
		cmdline, unrestricted = "$locked "+cmdline, " --unrestricted"
	}
	if m.Volume != "ASHLAR" {
		cmdline += " ashlar.medium=" + m.Volume
	}
	for _, e := range []struct{ title, cmdline string }{
		{"", cmdline + " quiet"},
		{" (show all kernel messages)", cmdline + " loglevel=7"},
		{" (copy to memory)", cmdline + " ashlar.toram"},
	} {
		p("menuentry '%s%s'%s {", m.Summary, e.title, unrestricted)
		p("\tlinux /boot/vmlinuz %s", e.cmdline)
		p("\tinitrd /boot/initrd.img")
		p("}")
	}
	return []byte(b.String())
}
