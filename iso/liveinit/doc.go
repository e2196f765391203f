// Command liveinit is /init of a live image's initial RAM file system.
//
// It mounts /proc, /sys and /dev, loads the drivers listed in /modules/load (if
// any), waits for the medium (the ISO 9660 volume of the right name on any CD,
// disk, stick or partition), mounts it and the squashfs on it, puts a writable
// layer in memory on top, and starts the system's /sbin/init. The system finds
// /proc, /sys, /dev and /run mounted, and the medium at /run/ashlar/medium.
//
// Kernel parameters:
//
//	ashlar.medium=LABEL    volume name of the medium (ASHLAR)
//	ashlar.root=PATH       the root image on the medium (live/root.squashfs)
//	ashlar.wait=SECONDS    how long to wait for the medium (60)
//	ashlar.memory=SIZE     limit of the writable layer, as tmpfs takes it (50%)
//	ashlar.toram           copy the root image to memory; the medium is free then
//	root=UUID=ID           start from the disk with this file system, not from a medium
//	rd.md.uuid=ID          array that it stands on; rd.luks.uuid=ID an encrypted device,
//	                       rd.lvm.lv=VG/LV a logical volume; each any number of times
//	rd.luks.options=tpm2-device=auto
//	                       try the TPM's keys before asking for a passphrase
//	ashlar.rescue          start a root shell, where no systemd does it
//	init=PATH              what to start (/sbin/init)
//
// It is static, imports nothing but x/sys/unix, and writes to the kernel log, so
// that every console shows its messages and dmesg keeps them. When it cannot go
// on it says why and what it saw, starts /bin/sh if the initial RAM file system
// has one, and else ends, which the kernel reports as a panic.
package main
