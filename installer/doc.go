// Package installer puts Ashlar on a disk, unattended.
//
// In: an answer file (strict YAML, schema in docs/formats/answers.schema.json),
// the disks of the machine, and the packages to install. Out: a disk that boots
// with BIOS and with UEFI, whose system is generation 1 of package system.
//
// The work is a plan first: [Select] finds the one disk that the answers mean,
// [MakePlan] is a pure function from answers and disk to an ordered list of
// operations, and [Apply] carries them out. Until Apply starts nothing is
// written. Boot code goes on the disk last, so a half-finished disk does not
// start.
//
// It never guesses: several matching disks, a disk that holds data without
// `erase: true`, a mounted disk or the medium we booted from are errors.
package installer
