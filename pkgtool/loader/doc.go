// Package loader makes a machine start what its system has become, and come back
// when that does not start.
//
// In: a system ([ashlar/pkgtool/system]), its kernels and the kernel's command
// line (/etc/kernel/cmdline). Out: an EFI system partition on which GRUB finds
// all that it reads: kernels and initial RAM file systems under names of their
// content, an entry for each generation (Boot Loader Specification, type 1), two
// menus made of the entries, and GRUB's environment block, which says which menu
// counts, what starts by default and how many tries that has left.
//
// The environment block is the only file that is ever written over, and its
// content fits into one sector, so a power failure leaves the old state or the
// new. FAT has no journal: everything else is written beside what is there and
// flushed before the block refers to it.
//
// GRUB counts down; what starts well is blessed ([Loader.Bless]); without a try
// left GRUB starts the last good generation, and the initial RAM file system
// (command recover) rolls the system back to it. docs/formats/loader.md.
package loader
