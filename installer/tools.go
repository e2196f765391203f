package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"
)

// toolPackage says which package has a program.
var toolPackage = map[string]string{
	"mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs", "mkfs.btrfs": "btrfs-progs",
	"mdadm": "mdadm", "cryptsetup": "cryptsetup", "lvm": "lvm2",
}

// programs are those that a plan needs, in the order of their use.
func (p *Plan) programs() []string {
	var names []string
	for _, layer := range []struct{ name, program string }{{raid1, "mdadm"}, {luks, "cryptsetup"}, {lvm, "lvm"}} {
		if p.Has(layer.name) {
			names = append(names, layer.program)
		}
	}
	return append(names, "mkfs."+p.Filesystem)
}

// toolPackages are the packages with those programs.
func (p *Plan) toolPackages() []string {
	var names []string
	for _, program := range p.programs() {
		names = append(names, toolPackage[program])
	}
	return names
}

// missingTools are the packages of programs that the running system lacks.
func (p *Plan) missingTools() []string {
	var missing []string
	for _, program := range p.programs() {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, toolPackage[program])
		}
	}
	return missing
}

// tools are the programs that make arrays, volumes and file systems: those of
// packages, unpacked in a folder of their own, and else the running system's.
type tools struct {
	dir    string // "" if the running system has them all
	mounts []string
}

// openTools makes the programs of packages usable; without packages it only
// looks whether those of the plan are there.
func openTools(ctx context.Context, p *Plan, packages []system.Addition) (t *tools, err error) {
	if len(packages) == 0 {
		for _, program := range p.programs() {
			if _, err := exec.LookPath(program); err != nil {
				return nil, fault.Mark(fmt.Errorf("this system has no %s", program), fault.Usage, "pkgtool install "+toolPackage[program])
			}
		}
		return &tools{}, nil
	}
	t = &tools{}
	if t.dir, err = os.MkdirTemp("", "ashlar-tools-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	if err := commit(ctx, t.dir, system.Change{Add: packages, Reason: "tools of the installer", Time: time.Now()}, nil); err != nil {
		return nil, fmt.Errorf("unpack the programs of %s: %w", strings.Join(p.toolPackages(), ", "), err)
	}
	t.mounts, err = bind(t.dir)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (t *tools) close() error {
	if t.dir == "" {
		return nil
	}
	if err := unbind(t.mounts); err != nil {
		return err // nothing below a mount may be removed
	}
	return os.RemoveAll(t.dir)
}

// run runs a program. input is its standard input, and never shown.
func (t *tools) run(ctx context.Context, input []byte, program string, args ...string) error {
	_, err := t.output(ctx, input, program, args...)
	return err
}

// cryptsetup is run for [diskkey.Volume].
func (t *tools) cryptsetup(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	return t.output(ctx, input, "cryptsetup", args...)
}

// output is run, and returns what the program printed.
func (t *tools) output(ctx context.Context, input []byte, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	if _, err := os.Lstat(filepath.Join(t.dir, "usr/bin", program)); t.dir != "" && err == nil {
		// Its name is looked up where it will be.
		cmd = exec.CommandContext(ctx, filepath.Join("/usr/bin", program), args...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: t.dir}
	}
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "LC_") || strings.HasPrefix(s, "LANG") }),
		"LVM_SUPPRESS_FD_WARNINGS=1")
	if _, err := os.Stat("/run/udev/control"); err != nil {
		cmd.Env = append(cmd.Env, "DM_DISABLE_UDEV=1") // nobody else makes the names in /dev
	}
	cmd.Stdin = bytes.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fault.Mark(fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, strings.TrimSpace(out.String()+said.String())),
			fault.Failed, program+" is in package "+toolPackage[program])
	}
	return out.Bytes(), nil
}
