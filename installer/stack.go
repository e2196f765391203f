package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ashlar/pkgtool/diskkey"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// stack is what stands between the partitions and the root's file system: an
// array, an encrypted volume, logical volumes, as the layout says.
type stack struct {
	plan  *Plan
	tools *tools
	say   func(step string)

	root, swap                      string // devices
	rootID, arrayID, luksID, swapID string // UUIDs of what is on them
	undo                            []func(context.Context) error
}

// build makes the stack on the partitions of all disks, and the file system of
// the root. Call close also after an error.
func (s *stack) build(ctx context.Context, passphrase []byte) error {
	s.rootID, s.arrayID, s.luksID, s.swapID = uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString()
	var members []string
	for _, d := range s.plan.Disks {
		members = append(members, s.plan.Partition("root").Device(d.Path))
	}
	s.root = members[0]
	if s.plan.Swap > 0 && s.plan.Layout == plain {
		s.swap = s.plan.Partition("swap").Device(s.plan.Disks[0].Path)
	}
	if s.plan.Has(raid1) {
		if err := s.makeArray(ctx, members); err != nil {
			return fmt.Errorf("make an array of %s: %w", strings.Join(members, " and "), err)
		}
	}
	if s.plan.Has(luks) {
		if err := s.encrypt(ctx, passphrase); err != nil {
			return fmt.Errorf("encrypt %s: %w", s.root, err)
		}
	}
	if s.plan.Has(lvm) {
		if err := s.makeVolumes(ctx); err != nil {
			return fmt.Errorf("make logical volumes on %s: %w", s.root, err)
		}
	}
	if s.swap != "" {
		s.say("make a swap area on " + s.swap)
		if err := makeSwap(s.swap, s.swapID); err != nil {
			return fmt.Errorf("make a swap area on %s: %w", s.swap, err)
		}
	}
	s.say("make a file system on " + s.root)
	if err := s.tools.run(ctx, nil, "mkfs."+s.plan.Filesystem, makeArguments(s.plan.Filesystem, s.rootID, s.root)...); err != nil {
		return fmt.Errorf("make a file system on %s: %w", s.root, err)
	}
	return nil
}

// makeArray makes /dev/md/root. What is written goes to all disks from now on;
// the rest is made equal after the first start, while the machine is used.
func (s *stack) makeArray(ctx context.Context, members []string) error {
	s.say("make an array of " + strings.Join(members, " and "))
	const array = "/dev/md/root"
	err := s.tools.run(ctx, nil, "mdadm", append([]string{"--create", array, "--run", "--level=1", "--metadata=1.2", "--bitmap=internal",
		"--homehost=any", "--name=root", "--uuid=" + arrayUUID(s.arrayID), fmt.Sprintf("--raid-devices=%d", len(members))}, members...)...)
	if err != nil {
		return err
	}
	s.later("mdadm", "--stop", array)
	if s.root, err = deviceOf(ctx, array); err != nil {
		return err
	}
	// Until the machine starts from it, the disks have better things to do. A
	// kernel that does not let us is slower, and no more.
	_ = os.WriteFile("/sys/block/"+filepath.Base(s.root)+"/md/sync_action", []byte("frozen"), 0)
	return wipe(s.root)
}

// arrayUUID writes a UUID as mdadm does: 00000000:00000000:00000000:00000000.
func arrayUUID(id string) string {
	hex := strings.ReplaceAll(id, "-", "")
	return strings.Join([]string{hex[:8], hex[8:16], hex[16:24], hex[24:]}, ":")
}

// encrypt makes a LUKS2 volume. How costly guessing the passphrase is follows
// from this machine's speed and memory; cryptsetup measures both.
func (s *stack) encrypt(ctx context.Context, passphrase []byte) error {
	s.say("encrypt " + s.root)
	err := s.tools.run(ctx, passphrase, "cryptsetup", "luksFormat", "--batch-mode", "--type=luks2", "--uuid="+s.luksID, "--label=ashlar", "--key-file=-", s.root)
	if err != nil {
		return err
	}
	if tpm2 := s.plan.LUKS.TPM2; tpm2 != nil {
		s.say("seal a key of " + s.root + " in the TPM")
		if err := sealKey(ctx, diskkey.Volume{Device: s.root, Cryptsetup: s.tools.cryptsetup}, passphrase, tpm2.registers()); err != nil {
			return err
		}
	}
	name := luksName(s.luksID)
	if err := s.tools.run(ctx, passphrase, "cryptsetup", "open", "--key-file=-", s.root, name); err != nil {
		return err
	}
	s.later("cryptsetup", "close", name)
	s.root = "/dev/mapper/" + name
	return waitFor(ctx, s.root)
}

func sealKey(ctx context.Context, v diskkey.Volume, passphrase []byte, pcrs []int) (err error) {
	tpm, err := diskkey.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tpm.Close()) }()
	_, err = v.Enroll(ctx, tpm, passphrase, pcrs)
	return err
}

// luksName is the name that initial RAM file systems give an encrypted volume.
func luksName(id string) string { return "luks-" + id }

func (s *stack) makeVolumes(ctx context.Context) error {
	group := volumeGroup(s.plan.Hostname)
	s.say("make the volume group " + group)
	if err := s.tools.run(ctx, nil, "lvm", "pvcreate", "-ff", "-y", s.root); err != nil {
		return err
	}
	if err := s.tools.run(ctx, nil, "lvm", "vgcreate", "-y", group, s.root); err != nil {
		return err
	}
	s.later("lvm", "vgchange", "-an", group)
	if s.plan.Swap > 0 {
		if err := s.tools.run(ctx, nil, "lvm", "lvcreate", "-y", "-Wy", "-Zy", "-n", "swap", "-L", fmt.Sprintf("%db", s.plan.Swap), group); err != nil {
			return err
		}
		s.swap = "/dev/" + group + "/swap"
	}
	if err := s.tools.run(ctx, nil, "lvm", "lvcreate", "-y", "-Wy", "-Zy", "-n", "root", "-l", "100%FREE", group); err != nil {
		return err
	}
	s.root = "/dev/" + group + "/root"
	return waitFor(ctx, s.root)
}

// later is what close will do. It must be done whatever comes, a stop of the
// installation too.
func (s *stack) later(program string, args ...string) {
	s.undo = append(s.undo, func(ctx context.Context) error { return s.tools.run(ctx, nil, program, args...) })
}

// close takes the stack apart; what is on the disks stays.
func (s *stack) close(ctx context.Context) (err error) {
	for i := len(s.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, s.undo[i](context.WithoutCancel(ctx)))
	}
	s.undo = nil
	return err
}

// parameters tell the kernel and the initial RAM file system where the root is.
func (s *stack) parameters() string {
	words := []string{"root=UUID=" + s.rootID}
	if s.plan.Has(raid1) {
		words = append(words, "rd.md.uuid="+arrayUUID(s.arrayID))
	}
	if s.plan.Has(luks) {
		words = append(words, "rd.luks.uuid="+s.luksID)
		if s.plan.LUKS.TPM2 != nil {
			words = append(words, diskkey.KernelParameter)
		}
	}
	if s.plan.Has(lvm) {
		words = append(words, "rd.lvm.lv="+volumeGroup(s.plan.Hostname)+"/root")
	}
	return strings.Join(words, " ")
}

// tables are the files of the installed system that name what was made.
func (s *stack) tables() map[string]string {
	files := map[string]string{}
	if s.plan.Has(raid1) {
		files["etc/mdadm.conf"] = fmt.Sprintf("ARRAY /dev/md/root metadata=1.2 UUID=%s\n", arrayUUID(s.arrayID))
	}
	if s.plan.Has(luks) {
		files["etc/crypttab"] = fmt.Sprintf("%s UUID=%s none luks,x-initrd.attach\n", luksName(s.luksID), s.luksID)
	}
	if s.swap != "" {
		files["etc/fstab"] = fmt.Sprintf("UUID=%s none swap defaults 0 0\n", s.swapID)
	}
	return files
}

// makeArguments are those of mkfs. The boot loader does not read the root.
func makeArguments(kind, id, device string) []string {
	switch kind {
	case xfs:
		return []string{"-q", "-f", "-L", "ashlar-root", "-m", "uuid=" + id, device}
	case btrfs:
		return []string{"-q", "-f", "-L", "ashlar-root", "-U", id, device}
	}
	return []string{"-q", "-F", "-L", "ashlar-root", "-U", id, device}
}

// wipe clears both ends of a device, so that nothing old is found there.
func wipe(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(mib, size))
	for _, at := range []int64{0, size - int64(len(zeros))} {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return fmt.Errorf("clear %s: %w", device, err)
		}
	}
	return f.Sync()
}

// deviceOf waits for a name of a device, and returns the device.
func deviceOf(ctx context.Context, name string) (string, error) {
	if err := waitFor(ctx, name); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(name)
}
