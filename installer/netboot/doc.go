// Package netboot starts machines over the network, many at once, and gives
// each its answer file.
//
// In: an image of the format netboot, and a list that maps machines (by MAC
// address, serial number or UUID) to answer files. Out: answers of ProxyDHCP,
// files over TFTP and HTTP, a configuration of the boot loader for every
// machine, its answer file, and what each machine has done so far.
//
// [Serve] is the whole; [ReadMachines] reads the list. The network's own DHCP
// server stays as it is: ours only adds the name of what to start (PXE 2.1,
// RFC 4578). Firmware is served by what it can do: an iPXE gets a script, a
// UEFI machine GRUB by HTTP or TFTP, a BIOS GRUB by TFTP.
//
// It trusts the network it serves: who can send there can ask for an answer
// file. It never writes but its state file, and never starts a machine again
// that has been installed, until somebody says so.
package netboot
