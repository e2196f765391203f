// Package bootorder changes what UEFI firmware starts: its variables Boot#### and
// BootOrder (UEFI specification 2.10, 3.1 and 3.3), as Linux shows them in
// efivarfs.
package bootorder
