// Package hybrid makes an ISO image start from a disk or USB stick as well as
// from a CD: what goes before and after the ISO file system, and the patches
// that let GRUB's boot images find themselves.
//
//	sector 0      boot code of GRUB's boot_hybrid.img; a protective entry, and an
//	              active entry of type 0, without which old BIOSes do not boot
//	sector 1-33   GUID partition table; its one partition is the EFI system
//	              partition, a FAT image inside the ISO
//	end           zeros up to 1 MiB, then the backup table
//
// In: sizes and places, known before the image is written. Out: bytes. Nothing
// is read or written here, so the image stays one forward stream.
//
// Format: UEFI 2.10 chapter 5; GRUB 2.06 boot/i386/pc/{boot,cdboot,diskboot}.S.
package hybrid
