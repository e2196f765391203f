package iso

import (
	"fmt"
	"strings"
)

// grubConfig returns the boot menu. GRUB's core, started from the medium, looks
// for /.ashlar-medium and reads this file. Console and serial line show the
// menu both; a machine without a serial line loses nothing.
func (m *Image) grubConfig() []byte {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("serial --unit=0 --speed=115200")
	p("terminal_input console serial")
	p("terminal_output console serial")
	p("set default=0")
	p("set timeout=%d", *m.Timeout)
	cmdline := m.Cmdline
	if m.Volume != "ASHLAR" {
		cmdline += " ashlar.medium=" + m.Volume
	}
	for _, e := range []struct{ title, cmdline string }{
		{"", cmdline + " quiet"},
		{" (show all kernel messages)", cmdline + " loglevel=7"},
		{" (copy to memory)", cmdline + " ashlar.toram"},
	} {
		p("menuentry '%s%s' {", m.Summary, e.title)
		p("\tlinux /boot/vmlinuz %s", e.cmdline)
		p("\tinitrd /boot/initrd.img")
		p("}")
	}
	return []byte(b.String())
}
