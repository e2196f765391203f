package boot

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"ashlar/pkgtool/fault"
)

// program finds QEMU.
func program(name string) (string, error) {
	if name == "" {
		name = "qemu-system-x86_64"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fault.Mark(fmt.Errorf("QEMU is not there: %w", err), fault.Failed,
			"install it: apt install qemu-system-x86 (Debian, Ubuntu), dnf install qemu-kvm (Fedora, RHEL)")
	}
	return path, nil
}

// ovmfPlaces are where distributions keep the UEFI firmware for QEMU: the code
// and the fresh variables that go with it.
var ovmfPlaces = [][2]string{
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"}, // Debian, Ubuntu
	{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
	{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},       // Fedora, RHEL
	{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},   // Arch
	{"/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"}, // SUSE
}

// secureOVMFPlaces are the same for the firmware with Secure Boot, whose variables
// hold no keys.
var secureOVMFPlaces = [][2]string{
	{"/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"}, // Debian, Ubuntu
	{"/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
	{"/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
}

// ovmf finds the UEFI firmware.
func ovmf(firmware Firmware) (code, vars string, err error) {
	places := ovmfPlaces
	if firmware == SecureUEFI {
		places = secureOVMFPlaces
	}
	for _, p := range places {
		if readable(p[0]) && readable(p[1]) {
			return p[0], p[1], nil
		}
	}
	return "", "", fault.Mark(errors.New("the UEFI firmware OVMF is not there"), fault.Failed,
		"install it: apt install ovmf (Debian, Ubuntu), dnf install edk2-ovmf (Fedora, RHEL); or boot with --firmware bios")
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err == nil {
		f.Close()
	}
	return err == nil
}

// copyVariables gives the machine its own firmware variables, in the file to keep
// them in if there is one.
func copyVariables(from, dir, keep string) (string, error) {
	to := filepath.Join(dir, "ovmf-variables")
	if keep != "" {
		if _, err := os.Stat(keep); err == nil {
			return keep, nil
		}
		to = keep
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	return to, os.WriteFile(to, data, 0o600)
}
