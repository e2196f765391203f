// Package iso9660 writes and reads ISO 9660 images with Rock Ridge and El
// Torito boot entries.
//
// In: entries (package tree) and boot entries. [New] decides the layout, so
// that places are known (for partition tables, for patches of boot images)
// before a byte is written; [Image.Write] then writes one forward stream.
// [Open] reads such an image back, as strictly as it was written.
//
// Promise: the same bytes for the same input; content is read once, in path
// order; files of any size (several extents above 4 GiB); true names, owners,
// modes and links through Rock Ridge. Joliet is left out: neither Linux nor
// GRUB nor firmware needs it.
//
// Standards: ECMA-119, IEEE P1281 (SUSP) 1.12, IEEE P1282 (RRIP) 1.12, El
// Torito 1.0.
package iso9660
