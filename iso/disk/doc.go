// Package disk lays out disks that start with BIOS and UEFI, and writes the
// formats in which virtual machines keep them.
//
// In: GRUB's images and the size of a root file system that somebody else
// writes into the disk. Out: [Layout.Write] fills a file with partition table,
// boot code and EFI system partition; [WriteQCOW2] and [WriteVMDK] turn a raw
// disk into the formats of QEMU and VMware, compressed, without its zeros.
//
// Promises: no loop device and no foreign tool; the same input gives the same
// bytes, whatever the number of cores; memory for some hundred KiB per core.
//
// A disk has three partitions: GRUB's core for BIOS, the EFI system partition,
// and the root, which is the last so that it can grow.
package disk
