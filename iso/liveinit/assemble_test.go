package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// device makes a file that is read like a device.
func device(t *testing.T, size int64, content map[int64]string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "device"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for at, text := range content {
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
	}
	return f.Name()
}

// What cryptsetup makes is known by its UUID, in both versions of the format.
func TestReadLUKS(t *testing.T) {
	if _, err := exec.LookPath("cryptsetup"); err != nil {
		t.Fatalf("%v; pkgtool/bootstrap.sh test installs it", err)
	}
	const id = "6b7d1a4e-0c5f-4f0e-9d3a-2f1e6a7c8b90"
	for _, kind := range []string{"luks1", "luks2"} {
		file := device(t, 24<<20, nil)
		cmd := exec.Command("cryptsetup", "luksFormat", "--batch-mode", "--type", kind, "--uuid", id, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file=-", file)
		cmd.Stdin = strings.NewReader("secret")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := readLUKS(file); got != id {
			t.Errorf("%s: read %q", kind, got)
		}
	}
	if got := readLUKS(device(t, 4096, nil)); got != "" {
		t.Errorf("nothing is read as %q", got)
	}
}

func TestReadArray(t *testing.T) {
	superblock := "\xfc\x4e\x2b\xa9" + "\x01\x00\x00\x00" + strings.Repeat("\x00", 8) +
		"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10" + strings.Repeat("\x00", 60) + "\x02\x00\x00\x00"
	id, disks := readArray(device(t, 1<<20, map[int64]string{4096: superblock}))
	if id != "01020304:05060708:090a0b0c:0d0e0f10" || disks != 2 {
		t.Errorf("read %s of %d disks", id, disks)
	}
	for _, other := range []map[int64]string{nil, {4096: "\xfc\x4e\x2b\xa9\x00"}, {0: superblock}} {
		if id, _ := readArray(device(t, 1<<20, other)); id != "" {
			t.Errorf("read %s", id)
		}
	}
	if id, _ := readArray(device(t, 4200, nil)); id != "" {
		t.Errorf("a short device gives %s", id)
	}
}

func TestPhysicalVolume(t *testing.T) {
	label := "LABELONE" + strings.Repeat("\x00", 16) + "LVM2 001"
	for at, want := range map[int64]bool{0: true, 512: true, 1536: true, 2048: false, 100: false} {
		if got := isPhysicalVolume(device(t, 1<<20, map[int64]string{at: label})); got != want {
			t.Errorf("label at %d: %v", at, got)
		}
	}
}

// Without its program an array cannot be assembled, and the message says what to do.
func TestAssemblyNeedsItsPrograms(t *testing.T) {
	if err := failed("assemble the array x", 0, unix.ENOENT); err == nil || !strings.Contains(err.Error(), "run: pkgtool loader update") {
		t.Errorf("got %v", err)
	}
	if err := failed("assemble the array x", 0, nil); err != nil {
		t.Errorf("no error became %v", err)
	}
	if err := failed("assemble the array x", 3, nil); err == nil || !strings.HasSuffix(err.Error(), "ended with 3") {
		t.Errorf("got %v", err)
	}
	// Members of other arrays are let alone.
	a := &assembly{p: &parameters{arrays: []string{"1:2:3:4"}}, done: map[string]bool{}, since: map[string]int{}}
	if changed, err := a.step([]string{device(t, 1<<20, nil)}, 60_000); changed || err != nil {
		t.Errorf("%v, %v", changed, err)
	}
}
