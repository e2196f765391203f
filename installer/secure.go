package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ashlar/iso"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/loader"
	"ashlar/signing/secureboot"
)

// CheckFirmware tells whether this machine's firmware takes part in a plan: the
// system must start on it, and the firmware take a key if it is to be given one.
// It changes nothing (class fault.Usage if not).
func CheckFirmware(p *Plan) (err error) {
	if _, err := os.Stat("/sys/firmware/efi"); errors.Is(err, fs.ErrNotExist) && !p.SecureBoot {
		return nil
	}
	if _, err := os.Stat(secureboot.VariablesDir); err == nil {
		release, err := showVariables(secureboot.VariablesDir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	return checkFirmware(secureboot.VariablesDir, p)
}

func checkFirmware(variables string, p *Plan) error {
	if p.SecureBoot {
		if err := secureboot.CheckEnroll(variables); err != nil {
			return fmt.Errorf("boot.secure_boot: %w", err)
		}
		return nil
	}
	state, err := secureboot.ReadState(variables)
	if err != nil || !state.Enabled || p.answers.Boot.SecureBoot != nil {
		return err
	}
	return fault.Mark(errors.New("Secure Boot is on: the firmware would not start the installed system, which is not signed"), fault.Usage,
		"delete the firmware's keys in its setup and say boot.secure_boot: true; or switch Secure Boot off, and say false")
}

// machineKey makes the key of the system below root, and keeps beside it whom the
// medium belongs to: the firmware shall start that, too, and load its modules.
func machineKey(root string) (*secureboot.Key, [][]byte, error) {
	var trusted [][]byte
	auth, err := os.ReadFile(filepath.Join(iso.OwnerKeys, "db.auth"))
	if err == nil {
		if trusted, err = secureboot.Certificates(auth); err != nil {
			return nil, nil, fmt.Errorf("%s/db.auth: %w", iso.OwnerKeys, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	key, err := loader.MakeMachineKey(root, trusted)
	return key, trusted, err
}

// enroll gives the firmware the machine's key.
func enroll(key *secureboot.Key, trusted [][]byte) (err error) {
	release, err := showVariables(secureboot.VariablesDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	return secureboot.EnrollKey(secureboot.VariablesDir, key, trusted)
}
