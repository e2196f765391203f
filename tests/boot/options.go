package boot

import (
	"fmt"
	"io"
	"regexp"
	"time"

	"ashlar/pkgtool/fault"
)

// Firmware is what starts the boot loader.
type Firmware string

// The firmwares: QEMU's SeaBIOS, OVMF, and the OVMF that has Secure Boot, in setup
// mode: without keys.
const (
	BIOS Firmware = "bios"
	UEFI Firmware = "uefi"

	SecureUEFI Firmware = "uefi-secure"
)

// Media is how the machine sees the image.
type Media string

// The media. A USB stick and a disk are writable for the guest; what it writes
// is thrown away.
const (
	CDROM Media = "cdrom"
	USB   Media = "usb"
	Disk  Media = "disk"
)

// KVM says whether to use hardware virtualisation.
type KVM string

// The choices: Auto probes once per process and falls back to emulation.
const (
	KVMAuto KVM = "auto"
	KVMOn   KVM = "on"
	KVMOff  KVM = "off"
)

// Drive is a disk besides the image.
type Drive struct {
	Path      string
	Format    string // raw (default), qcow2, vmdk
	Interface string // virtio (default), sata, nvme, scsi, megasas, pvscsi, mptsas, usb
	Serial    string // serial number, up to 20 characters; default driveN, N from 0
	Cache     string // QEMU's cache mode: writeback (default), none, ...
	Throwaway bool   // what the guest writes is thrown away
	Boot      bool   // the firmware tries it after the image
}

// Forward makes a TCP port of the guest reachable on the host's loopback.
type Forward struct{ Host, Guest int }

// Options describe a machine. The zero value boots nothing: give Image, Kernel
// or a Drive with Boot.
type Options struct {
	Image string
	Media Media // default CDROM

	Kernel, Initrd, Cmdline string // direct boot without a boot loader

	Firmware Firmware // default BIOS
	// Variables is a file that keeps the firmware's variables from one machine to
	// the next, made if it is not there; default: each machine begins with fresh ones.
	Variables string

	// TPM is a folder that keeps the state of a TPM 2.0 from one machine to the next,
	// made if it is not there; default: the machine has none. It needs swtpm.
	TPM string

	Memory int    // MiB; default 1024
	SMP    int    // processors; default 2
	CPU    string // default max
	KVM    KVM    // default KVMOff
	Drives []Drive

	// Net gives the guest a card on QEMU's user network: DHCP, and the host's
	// loopback at 10.0.2.2. Forward implies it. NetCard is QEMU's name of the
	// card, virtio-net-pci by default.
	Net     bool
	NetCard string
	Forward []Forward

	// NetBoot says that Extra has a network card which the firmware tries first
	// (bootindex=0).
	NetBoot bool

	// FirmwareFiles appear under /sys/firmware/qemu_fw_cfg; names start with opt/.
	FirmwareFiles map[string]string

	// Limit bounds the life of the machine (default 5 minutes), Idle the
	// silence of its console during a wait (default 1 minute). Negative is none.
	Limit, Idle time.Duration

	// Fatal are lines that end every wait besides the built-in ones; Allow are
	// lines that are not fatal although a pattern says so. Interactive turns
	// the built-in patterns off.
	Fatal, Allow []*regexp.Regexp
	Interactive  bool

	// Console gets the raw bytes of the serial console as they come.
	Console io.Writer

	// Artifacts is where the files of a failure go; default: a new folder
	// below the system's folder for temporary files.
	Artifacts string

	Reboot bool     // let the guest reset; default: a reset ends QEMU
	QEMU   string   // program; default qemu-system-x86_64 from PATH
	Extra  []string // more QEMU arguments
}

func (o Options) withDefaults() (Options, error) {
	if o.Media == "" {
		o.Media = CDROM
	}
	if o.Firmware == "" {
		o.Firmware = BIOS
	}
	if o.Memory == 0 {
		o.Memory = 1024
	}
	if o.SMP == 0 {
		o.SMP = 2
	}
	if o.CPU == "" {
		o.CPU = "max"
	}
	if o.KVM == "" {
		o.KVM = KVMOff
	}
	if o.NetCard == "" {
		o.NetCard = "virtio-net-pci"
	}
	if o.Limit == 0 {
		o.Limit = 5 * time.Minute
	}
	if o.Idle == 0 {
		o.Idle = time.Minute
	}
	if len(o.Forward) > 0 {
		o.Net = true
	}
	return o, fault.Mark(o.check(), fault.Usage, "")
}

func (o Options) check() error {
	switch o.Media {
	case CDROM, USB, Disk:
	default:
		return fmt.Errorf("unknown media %q; choose cdrom, usb or disk", o.Media)
	}
	switch o.Firmware {
	case BIOS, UEFI, SecureUEFI:
	default:
		return fmt.Errorf("unknown firmware %q; choose bios, uefi or uefi-secure", o.Firmware)
	}
	switch o.KVM {
	case KVMAuto, KVMOn, KVMOff:
	default:
		return fmt.Errorf("unknown KVM choice %q; choose auto, on or off", o.KVM)
	}
	if o.Memory < 16 || o.SMP < 1 || o.SMP > 255 {
		return fmt.Errorf("%d MiB of memory and %d processors are no machine", o.Memory, o.SMP)
	}
	for _, f := range o.Forward {
		if f.Host < 0 || f.Host > 65535 || f.Guest < 1 || f.Guest > 65535 {
			return fmt.Errorf("forward %d:%d: ports are 1 to 65535", f.Host, f.Guest)
		}
	}
	return nil
}
