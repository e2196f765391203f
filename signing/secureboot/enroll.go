package secureboot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ashlar/pkgtool/fault"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// VariablesDir is where Linux shows the firmware's variables.
const VariablesDir = "/sys/firmware/efi/efivars"

// State is how Secure Boot stands on a machine.
type State struct {
	UEFI      bool `json:"uefi"`       // it was started by UEFI, whose variables can be read
	Enabled   bool `json:"enabled"`    // firmware checked what it started
	SetupMode bool `json:"setup_mode"` // there is no platform key: anybody may enroll one
}

// ReadState reads how Secure Boot stands; dir is usually [VariablesDir].
func ReadState(dir string) (State, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	s := State{UEFI: true}
	var err error
	if s.Enabled, err = flag(dir, "SecureBoot"); err != nil {
		return s, err
	}
	s.SetupMode, err = flag(dir, "SetupMode")
	return s, err
}

// flag reads a variable of one byte; one that is missing is false.
func flag(dir, name string) (bool, error) {
	data, err := os.ReadFile(variablePath(dir, name, vendorGlobal))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return len(data) == 5 && data[4] == 1, nil
}

func variablePath(dir, name string, vendor uuid.UUID) string {
	return filepath.Join(dir, name+"-"+vendor.String())
}

// CheckEnroll tells whether a machine takes keys (class fault.Usage if not): it
// must have been started by UEFI, and be in setup mode.
func CheckEnroll(dir string) error {
	state, err := ReadState(dir)
	if err != nil {
		return err
	}
	switch {
	case !state.UEFI:
		return fault.Errorf(fault.Usage, "this machine was not started by UEFI; start it so, in the firmware's setup")
	case !state.SetupMode:
		return fault.Errorf(fault.Usage, "the firmware has a platform key already, so it takes no other; delete it in the firmware's setup (often called setup mode, or clear keys), then try again")
	}
	return nil
}

// Enroll makes the machine the owner's: it writes db, KEK and PK from the .auth
// files in keys. The firmware must be in setup mode; see [CheckEnroll].
// Secure Boot begins with the next start.
func Enroll(dir, keys string) (err error) {
	if err := CheckEnroll(dir); err != nil {
		return err
	}
	variables := []Variable{{Name: "db", Vendor: vendorSecurity}, {Name: "KEK", Vendor: vendorGlobal}, {Name: "PK", Vendor: vendorGlobal}}
	for i := range variables {
		v := &variables[i]
		// all is read before the first is written
		if v.Auth, err = os.ReadFile(filepath.Join(keys, v.Name+".auth")); err != nil {
			return fault.Mark(err, fault.Failed, "name the folder with db.auth, KEK.auth and PK.auth, as pkgtool key secureboot --out makes it")
		}
	}
	return writeVariables(dir, variables)
}

// EnrollKey makes the machine the key's: what a medium's .auth files hold is made
// here, with others (DER) in db. The firmware must be in setup mode; see
// [CheckEnroll].
func EnrollKey(dir string, key *Key, others [][]byte) error {
	if err := CheckEnroll(dir); err != nil {
		return err
	}
	variables, err := key.Variables(others...)
	if err != nil {
		return err
	}
	return writeVariables(dir, variables)
}

// writeVariables writes them in their order; the last begins Secure Boot.
func writeVariables(dir string, variables []Variable) error {
	for _, v := range variables {
		if err := writeVariable(variablePath(dir, v.Name, v.Vendor), v.Auth); err != nil {
			return fmt.Errorf("write the firmware's variable %s: %w", v.Name, err)
		}
	}
	return nil
}

// writeVariable writes a variable in one call, as the firmware takes it.
func writeVariable(path string, content []byte) error {
	if f, err := os.Open(path); err == nil { // Linux protects those that are there
		err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0)
		f.Close()
		if err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(binary.LittleEndian.AppendUint32(nil, attributes), content...))
	return errors.Join(err, f.Close())
}
