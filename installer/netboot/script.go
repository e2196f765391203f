package netboot

import (
	"fmt"
	"strings"
)

// httpPort is the only port that GRUB's HTTP speaks to; with another, it loads
// over TFTP.
const httpPort = 80

// folder is where a machine finds what is for it.
func folder(mac string) string { return "m/" + strings.ReplaceAll(mac, ":", "-") + "/" }

// grubRoot is how GRUB names the server.
func (s *server) grubRoot() string {
	if s.port == httpPort {
		return fmt.Sprintf("(http,%s)/", s.address)
	}
	return fmt.Sprintf("(tftp,%s)/", s.address)
}

// loaderCommands are put into the UEFI boot loader for a machine: it need not
// find out who and where it is. Firmware that loads over HTTP leaves the network
// card without an address.
func (s *server) loaderCommands(mac, firmware string) string {
	protocol := "tftp"
	if s.port == httpPort {
		protocol = "http"
	}
	commands := fmt.Sprintf("set protocol=%s\nset server=%s\nset machine=%s\n", protocol, s.address, strings.ReplaceAll(mac, ":", "-"))
	if firmware == firmwareHTTP {
		commands += "net_bootp\n"
	}
	return commands
}

// ask is the first script: it comes back with the machine's serial number.
func (s *server) ask(kind, mac string) string {
	if kind == "ipxe" {
		return fmt.Sprintf("#!ipxe\nchain --replace %s%sas-${serial:uristring}.ipxe\n", s.url(), folder(mac))
	}
	// GRUB sends a path as it is; a serial number with a blank or a quarter
	// of the alphabet's signs is told by the installer later.
	return fmt.Sprintf(`set serial=
smbios --type 1 --get-string 7 --set serial
if regexp '^[A-Za-z0-9._-]+$' "$serial"; then
	configfile %[1]sas-$serial.cfg
else
	configfile %[1]sas-.cfg
fi
`, s.grubRoot()+folder(mac))
}

// start is the script that starts the image.
func (s *server) start(kind, mac, cmdline string) string {
	if kind == "ipxe" {
		at := s.url() + folder(mac)
		return fmt.Sprintf(`#!ipxe
kernel %[1]svmlinuz initrd=initrd.img initrd=root.img %[2]s
initrd --name initrd.img %[1]sinitrd.img
initrd --name root.img %[1]sroot.img
boot
`, at, cmdline)
	}
	return fmt.Sprintf(`set timeout=0
menuentry '%[3]s' {
	echo 'Loading the kernel ...'
	linux %[1]svmlinuz %[2]s
	echo 'Loading the system ...'
	initrd %[1]sinitrd.img %[1]sroot.img
}
`, s.grubRoot()+folder(mac), cmdline, s.image.Summary)
}

// leave is the script that gives the machine back to its firmware, which goes
// on to the disk.
func leave(kind string) string {
	if kind == "ipxe" {
		return "#!ipxe\nexit\n"
	}
	return "exit\n"
}

// cmdlineOf is the kernel command line of a machine. Those without an answer
// file get a live system that asks nothing of the server.
func (s *server) cmdlineOf(list *Machines, e *Machine, mac string) string {
	words := []string{s.image.Cmdline, list.Cmdline}
	if e != nil {
		words = append(words, e.Cmdline)
	}
	at := s.url() + folder(mac)
	if list.mayAnswer(e) {
		words = append(words, "ashlar.answers="+at+"answers.yaml")
	}
	words = append(words, "ashlar.report="+at+"report")
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}
