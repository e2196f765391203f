package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/tests/boot"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// bootCommands is `pkgtool boot`.
func bootCommands(app *App) []*cobra.Command {
	var o boot.Options
	var firmware, media, kvm string
	var forward, drives []string
	cmd := &cobra.Command{
		Use:   "boot IMAGE",
		Short: "Start an image in QEMU with its serial console on this terminal",
		Long: `Start an image in QEMU with its serial console on this terminal.

Ctrl-A X ends the machine, Ctrl-A C-A types a Ctrl-A. The image is not changed:
what the machine writes to it is thrown away. With --net the machine has an
address by DHCP and reaches this machine's loopback at 10.0.2.2; --forward
2222:22 makes its port 22 reachable as port 2222 of this machine's loopback.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Image = args[0]
			}
			if media == "" {
				media = mediaOf(o.Image)
			}
			o.Firmware, o.Media, o.KVM = boot.Firmware(firmware), boot.Media(media), boot.KVM(kvm)
			var err error
			if o.Forward, err = forwards(forward); err != nil {
				return fault.Mark(err, fault.Usage, "")
			}
			for _, d := range drives {
				o.Drives = append(o.Drives, driveOf(d, o.Image == "" && o.Kernel == "" && len(o.Drives) == 0))
			}
			return runBoot(cmd.Context(), app, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&firmware, "firmware", "bios", "bios or uefi")
	flags.StringVar(&media, "media", "", "what the image is: cdrom, usb or disk; default: cdrom for an ISO, else disk")
	flags.StringVar(&o.Variables, "variables", "", "file that keeps the settings of UEFI firmware from one start to the next")
	flags.StringVar(&o.TPM, "tpm", "", "give the machine a TPM 2.0, whose state is kept in this folder; needs swtpm")
	flags.IntVar(&o.Memory, "memory", 1024, "memory in MiB")
	flags.IntVar(&o.SMP, "smp", 2, "processors")
	flags.StringVar(&kvm, "kvm", "auto", "auto, on or off; auto uses KVM if a guest really runs in it")
	flags.BoolVar(&o.Net, "net", false, "give the machine a network")
	flags.StringArrayVar(&forward, "forward", nil, "HOST:GUEST ports, may be given several times; implies --net")
	flags.StringArrayVar(&drives, "drive", nil, "one more disk, FILE[,format=qcow2][,interface=nvme]; it is written to")
	flags.StringVar(&o.Kernel, "kernel", "", "start this kernel without a boot loader")
	flags.StringVar(&o.Initrd, "initrd", "", "initrd for --kernel")
	flags.StringVar(&o.Cmdline, "append", "console=ttyS0", "kernel command line for --kernel")
	return []*cobra.Command{cmd}
}

func mediaOf(image string) string {
	if ext := filepath.Ext(image); ext == ".raw" || ext == ".qcow2" || ext == ".vmdk" {
		return string(boot.Disk)
	}
	return string(boot.CDROM)
}

func forwards(specs []string) ([]boot.Forward, error) {
	var out []boot.Forward
	for _, spec := range specs {
		host, guest, ok := strings.Cut(spec, ":")
		h, errHost := strconv.Atoi(host)
		g, errGuest := strconv.Atoi(guest)
		if !ok || errHost != nil || errGuest != nil {
			return nil, fmt.Errorf("--forward %q: write HOST:GUEST, as in 2222:22", spec)
		}
		out = append(out, boot.Forward{Host: h, Guest: g})
	}
	return out, nil
}

func driveOf(spec string, bootable bool) boot.Drive {
	parts := strings.Split(spec, ",")
	d := boot.Drive{Path: parts[0], Boot: bootable}
	for _, p := range parts[1:] {
		if v, ok := strings.CutPrefix(p, "format="); ok {
			d.Format = v
		} else if v, ok := strings.CutPrefix(p, "interface="); ok {
			d.Interface = v
		}
	}
	return d
}

// runBoot connects the machine's console with this process's terminal until
// the machine ends.
func runBoot(ctx context.Context, app *App, o boot.Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o.Interactive, o.Reboot, o.Limit, o.Idle = true, true, -1, -1
	o.Console = app.Out
	vm, err := boot.Start(ctx, o)
	if err != nil {
		return err
	}
	defer vm.Close()
	app.Say("booting with %s; Ctrl-A X ends the machine", vm.Accelerator())
	if app.Verbose {
		app.Say("%s", vm.CommandLine())
	}
	if in, ok := app.In.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		state, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return fmt.Errorf("prepare the terminal: %w", err)
		}
		defer term.Restore(int(in.Fd()), state)
	}
	go func() {
		if boot.CopyInput(vm, app.In) {
			cancel(errQuit)
		}
	}()
	_, err = vm.Wait(ctx)
	if errors.Is(err, errQuit) {
		return nil
	}
	return err
}

var errQuit = errors.New("ended by Ctrl-A X")
