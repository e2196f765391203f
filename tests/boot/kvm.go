package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// probeDeadline bounds the probe. A working KVM answers in under a second.
const probeDeadline = 3 * time.Second

// accelerator decides between kvm and tcg.
func accelerator(ctx context.Context, o Options) (string, error) {
	switch o.KVM {
	case KVMOff:
		return "tcg", nil
	case KVMOn:
		if err := ProbeKVM(ctx, o.QEMU); err != nil {
			return "", fmt.Errorf("KVM does not work here: %w; use --kvm auto or off", err)
		}
		return "kvm", nil
	}
	if ProbeKVM(ctx, o.QEMU) != nil {
		return "tcg", nil
	}
	return "kvm", nil
}

var probes sync.Map // QEMU's path to the result, a func() error

// ProbeKVM reports why KVM cannot be used, or nil. It runs a guest of one
// sector in QEMU with KVM: firmware in real mode, then 64-bit code with paging
// that ends QEMU through a port. It must not take much longer than in emulation
// (see slowFactor). The result is kept for the life of the process.
func ProbeKVM(ctx context.Context, qemu string) error {
	path, err := program(qemu)
	if err != nil {
		return err
	}
	probe, _ := probes.LoadOrStore(path, sync.OnceValue(func() error { return compareKVM(ctx, path) }))
	return probe.(func() error)()
}

// slowFactor is how many times longer than emulation KVM may take for the guest
// of one sector, nearly all of which is firmware in real mode. A KVM that works
// is within twice the time; one that traps at every turn, as in some nested
// machines (16 times was measured), never gets an ordinary kernel started.
const slowFactor = 5

func compareKVM(ctx context.Context, qemu string) error {
	begin := time.Now()
	if err := probeKVM(ctx, qemu, "kvm"); err != nil {
		return err
	}
	kvm := time.Since(begin)
	begin = time.Now()
	if err := probeKVM(ctx, qemu, "tcg"); err != nil {
		return nil // emulation is no better; KVM at least ran a guest
	}
	if tcg := time.Since(begin); kvm > slowFactor*tcg {
		return fmt.Errorf("a guest of one sector took %.2f s, and only %.2f s in emulation", kvm.Seconds(), tcg.Seconds())
	}
	return nil
}

// probeKVM runs the guest with the given accelerator; tests use tcg.
func probeKVM(ctx context.Context, qemu, accelerator string) error {
	if accelerator == "kvm" {
		f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		f.Close()
	}
	dir, err := os.MkdirTemp("", "ashlar-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sector := filepath.Join(dir, "sector")
	if err := os.WriteFile(sector, probeSector(), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-nodefaults", "-no-user-config", "-machine", "pc", "-accel", accelerator,
		"-cpu", "max", "-m", "16", "-display", "none", "-no-reboot",
		"-drive", "if=floppy,format=raw,file="+quote(sector),
		"-device", "isa-debug-exit,iobase=0xf4,iosize=1")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("a guest of one sector did not finish in %v", probeDeadline)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == probeExit {
		return nil
	}
	if len(out) > 200 {
		out = out[:200]
	}
	return fmt.Errorf("a guest of one sector failed: %v: %s", err, out)
}
