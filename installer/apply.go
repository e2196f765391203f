package installer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"ashlar/iso/fat"
	"ashlar/iso/tree"
	"ashlar/pkgtool/diskkey"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/loader"
	"ashlar/pkgtool/system"
	"ashlar/signing/secureboot"

	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// Options of an installation.
type Options struct {
	Packages   []system.Addition       // fetched and verified, all that the plan's packages require
	Tools      []system.Addition       // the same for programs that the running system lacks; see [Prepare]
	Passphrase []byte                  // of a layout with luks; one with a TPM makes its own when there is none
	Settings   string                  // folder copied to /etc/pkgtool of the target; "" copies nothing
	Command    []string                // for the target's history
	Progress   func(step string)       // called when a step begins; may be nil
	Copied     func(done, total int64) // bytes of packages written; may be nil
	LogFile    string                  // log to write anew, also on the target; "" for none; see [LogFile]

	recoveryKey bool // Passphrase was made here
}

// deviceTimeout is how long a partition's device may take to appear after the
// table was written.
const deviceTimeout = 10 * time.Second

// Apply carries a plan out on block devices; only root can. Everything that can
// be checked has been before it is called: a failure here is a failure of a disk
// or of a tool, and the disks then do not start. Running it again begins anew.
func Apply(ctx context.Context, p *Plan, o Options) (err error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	log, err := openJournal(o.LogFile)
	if err != nil {
		return fmt.Errorf("open the log, nothing was written to a disk: %w", err)
	}
	defer func() { err = log.end(err) }()
	say := o.Progress
	o.Progress = func(step string) {
		log.begin(step)
		say(step)
	}
	if o, err = o.withSecret(p); err != nil {
		return fmt.Errorf("nothing was written to a disk: %w", err)
	}
	t, err := openTools(ctx, p, o.Tools)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	release, err := holdUdev(ctx, udevRun)
	if err != nil {
		return fmt.Errorf("keep udev from starting arrays and volumes: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	gone := partitionIDs(p.Disks)
	if err := partitionAll(ctx, p, o.Progress); err != nil {
		return err
	}
	boot, err := fillRoot(ctx, p, o, log, &stack{plan: p, tools: t, say: o.Progress})
	if err != nil {
		return err
	}
	o.Progress("write the boot loader")
	for i, d := range p.Disks {
		err := withDisk(d.Path, func(disk *os.File) error {
			if err := writeESP(ctx, disk, p.Partition("esp"), boot.esp, boot.volumes[i]); err != nil {
				return fmt.Errorf("write the EFI system partition: %w", err)
			}
			return writeBIOSBoot(disk, boot.record, boot.core, p.Partition("bios-boot"))
		})
		if err != nil {
			return fmt.Errorf("make %s start: %w", d.Path, err)
		}
	}
	// Firmware finds disks without it, too, and some has no room, or faults.
	if err := setBootOrder(p, gone); err != nil {
		o.Progress(fmt.Sprintf("the firmware's boot order stays as it was: %v", err))
	}
	if p.SecureBoot {
		o.Progress("enroll the machine's key")
		if err := enroll(boot.key, boot.trusted); err != nil {
			return fmt.Errorf("the system is installed and would start without Secure Boot, but the firmware did not take its key: %w", err)
		}
	}
	return nil
}

// withSecret makes sure that the root can be encrypted and will be opened.
func (o Options) withSecret(p *Plan) (Options, error) {
	switch {
	case !p.Has(luks):
		return o, nil
	case p.LUKS.TPM2 == nil && len(o.Passphrase) == 0:
		return o, fault.Errorf(fault.Usage, "the layout %s needs a passphrase", p.Layout)
	case p.LUKS.TPM2 == nil:
		return o, nil
	}
	tpm, err := diskkey.Open()
	if err != nil {
		return o, err
	}
	// What this TPM cannot do it must say before a disk is written.
	_, _, err = diskkey.Seal(tpm, p.LUKS.TPM2.registers())
	if err = errors.Join(err, tpm.Close()); err == nil && len(o.Passphrase) == 0 {
		o.recoveryKey = true
		o.Passphrase = []byte(rand.Text())
	}
	return o, err
}

// recoveryKeyPath is where the installed system keeps the passphrase that nobody
// chose.
const recoveryKeyPath = "root/disk-recovery-key"

// partitionAll writes the tables of all disks and waits for the partitions. All
// disks must be free before one is written.
func partitionAll(ctx context.Context, p *Plan, say func(string)) error {
	for _, d := range p.Disks {
		if err := withDisk(d.Path, func(*os.File) error { return nil }); err != nil {
			return fmt.Errorf("partition %s: %w", d.Path, err)
		}
	}
	for _, d := range p.Disks {
		say("partition " + d.Path)
		err := withDisk(d.Path, func(disk *os.File) error { return partition(disk, p, d.Size) })
		if err != nil {
			return fmt.Errorf("partition %s: %w", d.Path, err)
		}
		for _, part := range p.Partitions {
			if err := waitFor(ctx, part.Device(d.Path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillRoot makes the root and what it stands on, installs the system there, and
// takes the stack apart: nothing may use the disks when the boot loader comes.
func fillRoot(ctx context.Context, p *Plan, o Options, log *journal, s *stack) (boot bootFiles, err error) {
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err := s.build(ctx, o.Passphrase); err != nil {
		return boot, err
	}
	err = mounted(s.root, p.Filesystem, func(dir string) error {
		o.Progress("install packages")
		change := system.Change{Add: o.Packages, Reason: "install " + strings.Join(p.Packages, " "), Command: o.Command, Time: time.Now()}
		if err := commit(ctx, dir, change, o.Copied); err != nil {
			return err
		}
		if err := runHooks(ctx, dir, "before", p.answers.Hooks.Before, o.Progress, log); err != nil {
			return err
		}
		o.Progress("configure the system")
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		if err := configure(root, p, o.Settings, s.tables()); err != nil {
			return fmt.Errorf("configure the system: %w", err)
		}
		if o.recoveryKey {
			if err := errors.Join(root.MkdirAll(path.Dir(recoveryKeyPath), 0o700), root.WriteFile(recoveryKeyPath, append(slices.Clone(o.Passphrase), '\n'), 0o600)); err != nil {
				return fmt.Errorf("keep the passphrase of the encrypted disk: %w", err)
			}
		}
		if err := runHooks(ctx, dir, "after", p.answers.Hooks.After, o.Progress, log); err != nil {
			return err
		}
		if err := log.copyTo(root); err != nil {
			return fmt.Errorf("write the log: %w", err)
		}
		boot, err = prepareBoot(ctx, root, p, s.parameters())
		return err
	})
	return boot, err
}

// withDisk runs work with the whole disk to ourselves: the kernel refuses when
// it or a partition of it is in use. It must not be held while a partition is
// mounted, which would be such a use.
func withDisk(device string, work func(*os.File) error) (err error) {
	disk, err := os.OpenFile(device, os.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault.Mark(err, fault.Failed, "the disk must not be in use, and only root may write it")
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	return work(disk)
}

// partitionTypes are the types of partitions by role; the root's type says what
// stands on it.
var partitionTypes = map[string]gpt.Type{
	"bios-boot": gpt.BIOSBoot, "esp": gpt.EFISystemPartition, "swap": gpt.LinuxSwap,
	plain: gpt.LinuxFilesystem, raid1: gpt.LinuxRAID, lvm: gpt.LinuxLVM, luks: "CA7D7CCB-63ED-4C53-861C-1742536059CC",
}

// partition clears the start of a disk, so that nothing old boots, and both ends
// of the partitions to come, so that nothing old is found and taken into use when
// they appear; then it writes the table.
func partition(disk *os.File, p *Plan, size int64) error {
	clear := []int64{0}
	for _, part := range p.Partitions {
		clear = append(clear, part.Start, part.Start+part.Size-mib)
	}
	for _, at := range clear {
		if _, err := disk.WriteAt(make([]byte, mib), at); err != nil {
			return err
		}
	}
	table := &gpt.Table{LogicalSectorSize: sectorSize, PhysicalSectorSize: sectorSize, ProtectiveMBR: true, GUID: uuid.NewString()}
	for _, part := range p.Partitions {
		kind := partitionTypes[part.Role]
		if part.Role == "root" {
			lowest, _, _ := strings.Cut(p.Layout, "+")
			kind = partitionTypes[lowest]
		}
		table.Partitions = append(table.Partitions, &gpt.Partition{
			Index: part.Number,
			Start: uint64(part.Start / sectorSize),
			End:   uint64((part.Start+part.Size)/sectorSize - 1),
			Size:  uint64(part.Size),
			Type:  kind,
			Name:  "ashlar-" + part.Role,
			GUID:  uuid.NewString(),
		})
	}
	if err := table.Write(disk, size); err != nil {
		return err
	}
	if err := disk.Sync(); err != nil {
		return err
	}
	return announcePartitions(disk, p.Partitions)
}

func waitFor(ctx context.Context, device string) error {
	ctx, cancel := context.WithTimeout(ctx, deviceTimeout)
	defer cancel()
	for {
		if _, err := os.Stat(device); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("device %s did not appear within %s after the disk was partitioned", device, deviceTimeout)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// mounted runs work while device is mounted, and flushes and unmounts it
// whatever comes.
func mounted(device, kind string, work func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "ashlar-target-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount(device, dir, kind, unix.MS_NODEV, ""); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	defer func() {
		if e := unix.Unmount(dir, 0); e != nil {
			err = errors.Join(err, fmt.Errorf("unmount %s: %w", device, e))
		}
	}()
	return work(dir)
}

// commit makes a change to the system below dir.
func commit(ctx context.Context, dir string, change system.Change, copied func(done, total int64)) error {
	target, err := system.Open(dir)
	if err != nil {
		return err
	}
	defer target.Close()
	if err := target.Lock(change.Command); err != nil {
		return err
	}
	plan, err := target.Plan(ctx, change)
	if err != nil {
		return err
	}
	return plan.Commit(ctx, copied)
}

// configure writes what the answers say into the target, and files that name its
// disks.
func configure(root *os.Root, p *Plan, settings string, tables map[string]string) error {
	if err := root.MkdirAll("etc/pkgtool", 0o755); err != nil {
		return err
	}
	if err := root.WriteFile("etc/hostname", []byte(p.Hostname+"\n"), 0o644); err != nil {
		return err
	}
	for name, text := range tables {
		if err := appendFile(root, name, text); err != nil {
			return err
		}
	}
	if p.RootPasswordHash != "" {
		if err := setRootPassword(root, p.RootPasswordHash); err != nil {
			return err
		}
	}
	if settings != "" {
		if err := copySettings(root, settings); err != nil {
			return err
		}
	}
	return p.settle(root)
}

// copySettings gives the target the repositories and roots of trust of the
// installing system, but for those of its medium.
func copySettings(root *os.Root, settings string) error {
	from := os.DirFS(settings)
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := path.Join("etc/pkgtool", name)
		switch {
		case to == mediumDefinition: // it will not be there
			return nil
		case to == mediumTrust:
			return fs.SkipDir
		case d.IsDir():
			return root.MkdirAll(to, 0o755)
		case d.Type().IsRegular():
			data, err := fs.ReadFile(from, name)
			if err != nil {
				return err
			}
			return root.WriteFile(to, data, 0o644)
		default:
			return nil // settings are plain files
		}
	})
}

// appendFile adds text to the end of a file, which is made if need be.
func appendFile(root *os.Root, name, text string) error {
	old, err := root.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.WriteFile(name, append(old, text...), 0o644)
}

// setRootPassword replaces the second field of root's line.
func setRootPassword(root *os.Root, hash string) error {
	const file = "etc/shadow"
	raw, err := root.ReadFile(file)
	if err != nil {
		return err
	}
	lines := strings.Split(string(raw), "\n")
	for i, line := range lines {
		fields := strings.Split(line, ":")
		if fields[0] == "root" && len(fields) > 2 {
			fields[1] = hash
			lines[i] = strings.Join(fields, ":")
			return root.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600)
		}
	}
	return fmt.Errorf("/%s has no line for root", file)
}

// bootFiles are what makes a disk start: GRUB's images for BIOS, from the grub
// package on the target, and the files of the EFI system partition.
type bootFiles struct {
	record, core []byte
	esp          []tree.Entry
	volumes      []uint32 // ids of the EFI system partitions, in the order of the disks

	key     *secureboot.Key // that signed them, nil if nothing is signed
	trusted [][]byte        // certificates that firmware shall trust besides the key's
}

// prepareBoot writes what the boot loader's entries are made by, and returns what
// the disk starts with.
func prepareBoot(ctx context.Context, root *os.Root, p *Plan, parameters string) (b bootFiles, err error) {
	for file, into := range map[string]*[]byte{"boot.img": &b.record, "core.img": &b.core} {
		if *into, err = root.ReadFile("usr/lib/ashlar/boot/" + file); err != nil {
			return b, fault.Mark(err, fault.Usage, "package ashlar-loader must be among the packages")
		}
	}
	var volumes []string
	for range p.Disks {
		b.volumes = append(b.volumes, uuid.New().ID())
		volumes = append(volumes, loader.VolumeID(b.volumes[len(b.volumes)-1]))
	}
	cmdline := parameters + " " + p.Cmdline
	for file, text := range map[string]string{
		loader.CmdlinePath:    cmdline,
		loader.PartitionsPath: strings.Join(volumes, "\n"),
	} {
		if err := root.MkdirAll(path.Dir(file), 0o755); err != nil {
			return b, err
		}
		if err := root.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
			return b, err
		}
	}
	if p.SecureBoot {
		if b.key, b.trusted, err = machineKey(root.Name()); err != nil {
			return b, err
		}
	}
	b.esp, err = loader.New(ctx, root.FS(), firstGeneration, cmdline, b.key)
	return b, err
}

// firstGeneration is what an installation makes.
const firstGeneration = 1

func writeESP(ctx context.Context, disk *os.File, esp Partition, files []tree.Entry, id uint32) error {
	volume, err := fat.New(files, fat.Options{Label: "ASHLAR", VolumeID: id, Time: time.Now(), Size: esp.Size})
	if err != nil {
		return err
	}
	if err := volume.Write(ctx, io.NewOffsetWriter(disk, esp.Start)); err != nil {
		return err
	}
	return disk.Sync()
}
