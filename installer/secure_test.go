package installer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// variables makes a folder as efivarfs shows it.
func variables(t *testing.T, values map[string]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range values {
		file := filepath.Join(dir, name+"-8be4df61-93ca-11d2-aa0d-00e098032b8c")
		if err := os.WriteFile(file, []byte{6, 0, 0, 0, value}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A machine is not given a system that it would not start, and no disk is touched
// for a key that the firmware would not take.
func TestFirmwareIsAskedBefore(t *testing.T) {
	yes, no := true, false
	setup := map[string]byte{"SetupMode": 1, "SecureBoot": 0}
	on := map[string]byte{"SetupMode": 0, "SecureBoot": 1}
	off := map[string]byte{"SetupMode": 0, "SecureBoot": 0}
	for _, c := range []struct {
		name   string
		have   map[string]byte
		secure *bool
		want   string
	}{
		{"nothing said, setup mode", setup, nil, ""},
		{"nothing said, off", off, nil, ""},
		{"nothing said, on", on, nil, "Secure Boot is on: the firmware would not start the installed system"},
		{"false, on", on, &no, ""},
		{"true, setup mode", setup, &yes, ""},
		{"true, on", on, &yes, "boot.secure_boot: the firmware has a platform key already"},
		{"true, off", off, &yes, "boot.secure_boot: the firmware has a platform key already"},
	} {
		a := Answers{Boot: Boot{SecureBoot: c.secure}}
		err := checkFirmware(variables(t, c.have), &Plan{SecureBoot: a.Boot.secure(), answers: a})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := checkFirmware(filepath.Join(t.TempDir(), "none"), &Plan{SecureBoot: true}); err == nil || !strings.Contains(err.Error(), "not started by UEFI") {
		t.Errorf("BIOS: %v", err)
	}
}
