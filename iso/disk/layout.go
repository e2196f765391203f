package disk

import (
	"context"
	"fmt"
	"io"
	"time"

	"ashlar/iso/fat"
	"ashlar/iso/hybrid"
	"ashlar/iso/tree"

	"github.com/diskfs/go-diskfs/backend"
	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/google/uuid"
)

const (
	sectorSize = 512
	mib        = 1 << 20
	biosSize   = 1 * mib
	espSize    = 256 * mib // for the kernels of several generations
	biosAt     = 1 * mib
	espAt      = biosAt + biosSize
	rootAt     = espAt + espSize
	tableSize  = 1 * mib // for the second partition table, at the end
)

// Layout is what a disk is made of.
type Layout struct {
	RootSize int64        // bytes of the root partition, whole MiB
	Boot     []byte       // GRUB's boot.img
	Core     []byte       // GRUB's core.img
	Name     string       // from which all identities are derived
	Time     int64        // seconds since 1970
	ESP      []tree.Entry // files of the EFI system partition
}

// Size is the disk's size in bytes.
func (l *Layout) Size() int64 { return rootAt + l.RootSize + tableSize }

// RootAt is where the root partition begins, in bytes.
func (l *Layout) RootAt() int64 { return rootAt }

// ID derives an identity of the disk; what is "root" for the root partition's.
func (l *Layout) ID(what string) [16]byte {
	id := hybrid.NewGUID(what + " of " + l.Name)
	return [16]byte{id[3], id[2], id[1], id[0], id[5], id[4], id[7], id[6], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]}
}

// UUID is ID as text.
func (l *Layout) UUID(what string) string { return uuid.UUID(l.ID(what)).String() }

// Write writes all but the root file system into f, which must be as long as
// the disk and read as zeros.
func (l *Layout) Write(ctx context.Context, f backend.WritableFile) error {
	if l.RootSize <= 0 || l.RootSize%mib != 0 {
		return fmt.Errorf("disk: a root of %d bytes is not of whole MiB", l.RootSize)
	}
	table := &gpt.Table{LogicalSectorSize: sectorSize, PhysicalSectorSize: sectorSize, ProtectiveMBR: true, GUID: l.UUID("disk")}
	for i, p := range []struct {
		role     string
		kind     gpt.Type
		at, size int64
	}{{"bios-boot", gpt.BIOSBoot, biosAt, biosSize}, {"esp", gpt.EFISystemPartition, espAt, espSize}, {"root", gpt.LinuxRootX86_64, rootAt, l.RootSize}} {
		table.Partitions = append(table.Partitions, &gpt.Partition{Index: i + 1, Type: p.kind, Name: "ashlar-" + p.role, GUID: l.UUID(p.role),
			Start: uint64(p.at / sectorSize), End: uint64((p.at+p.size)/sectorSize - 1), Size: uint64(p.size)})
	}
	if err := table.Write(f, l.Size()); err != nil {
		return fmt.Errorf("disk: partition table: %w", err)
	}
	if err := l.writeESP(ctx, f); err != nil {
		return fmt.Errorf("disk: EFI system partition: %w", err)
	}
	core, err := hybrid.CoreImage(l.Core, biosAt/sectorSize, biosSize)
	if err != nil {
		return err
	}
	record, err := hybrid.BootRecord(l.Boot, biosAt/sectorSize)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(core, biosAt); err != nil {
		return err
	}
	_, err = f.WriteAt(record, 0)
	return err
}

// VolumeID is the id of the EFI system partition's file system.
func (l *Layout) VolumeID() uint32 {
	id := l.ID("esp")
	return uint32(id[0])<<24 | uint32(id[1])<<16 | uint32(id[2])<<8 | uint32(id[3])
}

func (l *Layout) writeESP(ctx context.Context, w io.WriterAt) error {
	esp, err := fat.New(l.ESP, fat.Options{Label: "ASHLAR-ESP", VolumeID: l.VolumeID(), Time: time.Unix(l.Time, 0), Size: espSize})
	if err != nil {
		return err
	}
	return esp.Write(ctx, &sparseWriter{w: w, at: espAt})
}

// sparseWriter writes in sequence, and leaves zeros out.
type sparseWriter struct {
	w  io.WriterAt
	at int64
}

func (s *sparseWriter) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n := min(len(b)-done, blockSize-int(s.at%blockSize))
		if part := b[done : done+n]; !isZero(part) {
			if _, err := s.w.WriteAt(part, s.at); err != nil {
				return done, err
			}
		}
		done += n
		s.at += int64(n)
	}
	return done, nil
}
