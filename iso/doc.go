// Package iso turns an image definition and packages into a bootable image.
//
// In: a definition ([Read], images/*.yaml), opened packages, and files that the
// release adds (the repository's trust root). Out: [Build] writes a hybrid ISO
// that starts with BIOS and UEFI, from CD and USB stick, into a live system,
// and a manifest beside it. [Inspect] reads an image back.
//
// Promises: no root rights, no foreign tool, nothing unpacked: content goes from
// the packages' verified frames straight into the image. The same inputs give
// the same bytes. The output appears complete or not at all, and is not made
// again when nothing it depends on has changed.
//
// Never: fetch, solve or sign; that is the release's work.
//
// The formats are in the packages below: squashfs, iso9660, fat, cpio, hybrid.
// liveinit is the program that starts the live system.
package iso
