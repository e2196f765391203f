package installer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"

	"ashlar/iso/fat"
	"ashlar/iso/tree"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/loader"
	"ashlar/pkgtool/system"

	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// Options of an installation.
type Options struct {
	Packages []system.Addition       // fetched and verified, all that the plan's packages require
	Settings string                  // folder copied to /etc/pkgtool of the target; "" copies nothing
	Command  []string                // for the target's history
	Progress func(step string)       // called when a step begins; may be nil
	Copied   func(done, total int64) // bytes of packages written; may be nil
}

// deviceTimeout is how long a partition's device may take to appear after the
// table was written.
const deviceTimeout = 10 * time.Second

// Apply carries a plan out on a block device; only root can. Everything that
// can be checked has been before it is called: a failure here is a failure of
// the disk or of a tool, and the disk then does not start. Running it again
// begins anew.
func Apply(ctx context.Context, p *Plan, o Options) error {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	o.Progress("partition " + p.Disk.Path)
	var rootUUID string
	err := withDisk(p.Disk.Path, func(disk *os.File) (err error) {
		rootUUID, err = partition(disk, p)
		return err
	})
	if err != nil {
		return fmt.Errorf("partition %s: %w", p.Disk.Path, err)
	}
	rootDevice := p.Partition("root").Device(p.Disk.Path)
	if err := waitFor(ctx, rootDevice); err != nil {
		return err
	}
	o.Progress("make a file system on " + rootDevice)
	if err := makeFileSystem(ctx, rootDevice, rootUUID); err != nil {
		return err
	}
	var boot bootFiles
	volume := uuid.New().ID()
	err = mounted(rootDevice, func(dir string) error {
		o.Progress("install packages")
		if err := installPackages(ctx, dir, p, o); err != nil {
			return err
		}
		o.Progress("configure the system")
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		if err := configure(root, p, o.Settings); err != nil {
			return fmt.Errorf("configure the system: %w", err)
		}
		boot, err = prepareBoot(ctx, root, p, rootUUID, volume)
		return err
	})
	if err != nil {
		return err
	}
	o.Progress("write the boot loader")
	return withDisk(p.Disk.Path, func(disk *os.File) error {
		if err := writeESP(ctx, disk, p.Partition("esp"), boot.esp, volume); err != nil {
			return fmt.Errorf("write the EFI system partition: %w", err)
		}
		return writeBIOSBoot(disk, boot.record, boot.core, p.Partition("bios-boot"))
	})
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

// partition clears the start of the disk, so that nothing old boots, and writes
// the table. It returns the root partition's UUID.
func partition(disk *os.File, p *Plan) (string, error) {
	if _, err := disk.WriteAt(make([]byte, mib), 0); err != nil {
		return "", err
	}
	types := map[string]gpt.Type{"bios-boot": gpt.BIOSBoot, "esp": gpt.EFISystemPartition, "root": gpt.LinuxFilesystem}
	rootUUID := uuid.NewString()
	table := &gpt.Table{LogicalSectorSize: sectorSize, PhysicalSectorSize: sectorSize, ProtectiveMBR: true, GUID: uuid.NewString()}
	for _, part := range p.Partitions {
		entry := &gpt.Partition{
			Index: part.Number,
			Start: uint64(part.Start / sectorSize),
			End:   uint64((part.Start+part.Size)/sectorSize - 1),
			Size:  uint64(part.Size),
			Type:  types[part.Role],
			Name:  "ashlar-" + part.Role,
			GUID:  uuid.NewString(),
		}
		if part.Role == "root" {
			entry.GUID = rootUUID
		}
		table.Partitions = append(table.Partitions, entry)
	}
	if err := table.Write(disk, p.Disk.Size); err != nil {
		return "", err
	}
	if err := disk.Sync(); err != nil {
		return "", err
	}
	return rootUUID, announcePartitions(disk, p.Partitions)
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

// makeFileSystem makes the root's. The boot loader does not read it.
func makeFileSystem(ctx context.Context, device, id string) error {
	cmd := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-L", "ashlar-root", "-U", id, device)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fault.Mark(fmt.Errorf("make an ext4 file system on %s: %w\n%s", device, err, strings.TrimSpace(string(out))),
			fault.Failed, "mkfs.ext4 is in package e2fsprogs")
	}
	return nil
}

// mounted runs work while device is mounted, and flushes and unmounts it
// whatever comes.
func mounted(device string, work func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "ashlar-target-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount(device, dir, "ext4", unix.MS_NODEV, ""); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	defer func() {
		if e := unix.Unmount(dir, 0); e != nil {
			err = errors.Join(err, fmt.Errorf("unmount %s: %w", device, e))
		}
	}()
	return work(dir)
}

func installPackages(ctx context.Context, dir string, p *Plan, o Options) error {
	target, err := system.Open(dir)
	if err != nil {
		return err
	}
	defer target.Close()
	if err := target.Lock(o.Command); err != nil {
		return err
	}
	plan, err := target.Plan(ctx, system.Change{
		Add: o.Packages, Reason: "install " + strings.Join(p.Packages, " "), Command: o.Command, Time: time.Now(),
	})
	if err != nil {
		return err
	}
	return plan.Commit(ctx, o.Copied)
}

// configure writes what the answers say into the target.
func configure(root *os.Root, p *Plan, settings string) error {
	if err := root.MkdirAll("etc/pkgtool", 0o755); err != nil {
		return err
	}
	if err := root.WriteFile("etc/hostname", []byte(p.Hostname+"\n"), 0o644); err != nil {
		return err
	}
	if p.RootPasswordHash != "" {
		if err := setRootPassword(root, p.RootPasswordHash); err != nil {
			return err
		}
	}
	if settings == "" {
		return nil
	}
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
}

// prepareBoot writes what the boot loader's entries are made by, and returns what
// the disk starts with.
func prepareBoot(ctx context.Context, root *os.Root, p *Plan, rootUUID string, volume uint32) (b bootFiles, err error) {
	var efi []byte
	for file, into := range map[string]*[]byte{"boot.img": &b.record, "core.img": &b.core, "BOOTX64.EFI": &efi} {
		if *into, err = root.ReadFile("usr/lib/ashlar/boot/" + file); err != nil {
			return b, fault.Mark(err, fault.Usage, "package ashlar-loader must be among the packages")
		}
	}
	cmdline := "root=UUID=" + strings.ToLower(rootUUID) + " " + p.Cmdline
	for file, text := range map[string]string{
		loader.CmdlinePath:    cmdline,
		loader.PartitionsPath: loader.VolumeID(volume),
	} {
		if err := root.MkdirAll(path.Dir(file), 0o755); err != nil {
			return b, err
		}
		if err := root.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
			return b, err
		}
	}
	b.esp, err = loader.New(ctx, root.FS(), efi, firstGeneration, cmdline)
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
