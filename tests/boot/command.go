package boot

import (
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// layout is where one machine's files stand.
type layout struct {
	dir         string // sockets, firmware variables, console
	accelerator string // kvm or tcg
	code, vars  string // OVMF; "" with BIOS
}

func (l layout) qmp() string     { return filepath.Join(l.dir, "qmp") }
func (l layout) serial() string  { return filepath.Join(l.dir, "serial") }
func (l layout) console() string { return filepath.Join(l.dir, "console.raw") }

// arguments is the QEMU command line of a machine, without the program.
func arguments(o Options, l layout) []string {
	var args []string
	add := func(words ...string) { args = append(args, words...) }

	machine := "q35"
	if o.Firmware == SecureUEFI {
		// Its variables can only be changed through the system management mode.
		machine += ",smm=on"
		add("-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1")
	}
	add("-nodefaults", "-no-user-config", "-machine", machine, "-accel", l.accelerator)
	add("-cpu", o.CPU, "-m", strconv.Itoa(o.Memory), "-smp", strconv.Itoa(o.SMP))
	add("-vga", "std", "-display", "none")
	// QEMU connects to sockets that we listen on: nothing is polled or lost.
	add("-chardev", "socket,id=qmp,path="+quote(l.qmp()), "-mon", "chardev=qmp,mode=control", "-S")
	add("-chardev", "socket,id=serial,path="+quote(l.serial())+",logfile="+quote(l.console()), "-serial", "chardev:serial")
	add("-device", "pvpanic", "-device", "virtio-rng-pci")
	if !o.Reboot {
		add("-no-reboot")
	}
	if o.Firmware != BIOS {
		add("-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+quote(l.code))
		add("-drive", "if=pflash,unit=1,format=raw,file="+quote(l.vars))
	}
	if o.TPM != "" {
		add("-chardev", "socket,id=tpm,path="+quote(l.tpm()), "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0")
	}
	if o.Kernel != "" {
		add("-kernel", o.Kernel, "-append", o.Cmdline)
		if o.Initrd != "" {
			add("-initrd", o.Initrd)
		}
	}
	add(drives(o)...)
	if o.Net {
		netdev := "user,id=net0"
		for _, f := range o.Forward {
			netdev += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", f.Host, f.Guest)
		}
		// Without its ROM the card does not try to boot from the network.
		add("-netdev", netdev, "-device", o.NetCard+",netdev=net0,romfile=")
	} else {
		add("-nic", "none")
	}
	names := make([]string, 0, len(o.FirmwareFiles))
	for name := range o.FirmwareFiles {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		add("-fw_cfg", "name="+quote(name)+",file="+quote(o.FirmwareFiles[name]))
	}
	return append(args, o.Extra...)
}

// formatOf tells an image's format by the end of its name.
func formatOf(path string) string {
	switch ext := filepath.Ext(path); ext {
	case ".qcow2", ".vmdk":
		return ext[1:]
	}
	return "raw"
}

func drives(o Options) []string {
	all := make([]Drive, 0, len(o.Drives)+1)
	if o.Image != "" {
		image := Drive{Path: o.Image, Format: formatOf(o.Image), Boot: true, Throwaway: true}
		switch o.Media {
		case CDROM:
			image.Interface = "cdrom"
		case USB:
			image.Interface = "usb"
		}
		all = append(all, image)
	}
	all = append(all, o.Drives...)
	var args []string
	xhci, bootIndex, ports := false, 0, 0 // ports of the AHCI controller in use
	scsi := map[string]bool{}             // controllers that are there
	if o.NetBoot {
		bootIndex = 1
	}
	for i, d := range all {
		id := fmt.Sprintf("drive%d", i)
		format := d.Format
		if format == "" {
			format = "raw"
		}
		spec := "if=none,id=" + id + ",format=" + format + ",file=" + quote(d.Path)
		if d.Cache != "" {
			spec += ",cache=" + d.Cache
		}
		if d.Interface == "cdrom" {
			spec += ",media=cdrom,readonly=on"
		} else if d.Throwaway {
			spec += ",snapshot=on"
		}
		serial := id
		if d.Serial != "" {
			serial = quote(d.Serial)
		}
		var device string
		switch d.Interface {
		case "cdrom":
			device = fmt.Sprintf("ide-cd,bus=ide.%d,drive=%s", ports, id)
			ports++
		case "usb":
			if !xhci {
				xhci = true
				args = append(args, "-device", "qemu-xhci,id=xhci")
			}
			device = "usb-storage,bus=xhci.0,removable=on,drive=" + id
		case "sata":
			device = fmt.Sprintf("ide-hd,bus=ide.%d,serial=%s,drive=%s", ports, serial, id)
			ports++
		case "nvme":
			device = "nvme,serial=" + serial + ",drive=" + id
		case "scsi", "megasas", "pvscsi", "mptsas":
			if !scsi[d.Interface] {
				scsi[d.Interface] = true
				args = append(args, "-device", scsiControllers[d.Interface]+",id="+d.Interface)
			}
			device = "scsi-hd,serial=" + serial + ",bus=" + d.Interface + ".0,drive=" + id
			if d.Interface == "mptsas" { // SAS knows its disks by their addresses
				device += fmt.Sprintf(",wwn=%#x", 0x5000c50000000000+i)
			}
		default:
			device = "virtio-blk-pci,serial=" + serial + ",drive=" + id
		}
		if d.Boot {
			device += fmt.Sprintf(",bootindex=%d", bootIndex)
			bootIndex++
		}
		args = append(args, "-drive", spec, "-device", device)
	}
	return args
}

// scsiControllers are QEMU's devices behind the SCSI interfaces of a Drive.
var scsiControllers = map[string]string{"scsi": "virtio-scsi-pci", "megasas": "megasas", "pvscsi": "pvscsi", "mptsas": "mptsas1068"}

// quote protects a file name in QEMU's comma separated options.
func quote(path string) string { return strings.ReplaceAll(path, ",", ",,") }
