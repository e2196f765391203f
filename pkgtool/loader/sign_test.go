package loader

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ashlar/pkgtool/fault"
	"ashlar/signing/secureboot"
)

func TestMachineKey(t *testing.T) {
	root := t.TempDir()
	if key, err := MachineKey(root); key != nil || err != nil {
		t.Fatalf("a system without a key: %v, %v", key, err)
	}
	owner, _, err := secureboot.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	key, err := MakeMachineKey(root, [][]byte{owner.Certificate()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // an existing one stays
		again, err := MakeMachineKey(root, nil)
		if err != nil || !bytes.Equal(again.Certificate(), key.Certificate()) {
			t.Fatalf("another key was made: %v", err)
		}
	}
	trusted, err := Trusted(root)
	if err != nil || len(trusted) != 1 || !bytes.Equal(trusted[0], owner.Certificate()) {
		t.Errorf("trusted: %d, %v", len(trusted), err)
	}
	if _, err := MakeMachineKey(root, [][]byte{[]byte("no certificate")}); err == nil {
		t.Error("anything is trusted")
	}
	if err := os.WriteFile(filepath.Join(root, TrustedDir, "x.der"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Trusted(root); err == nil {
		t.Error("a file that holds no certificate is passed over")
	}
	if err := os.Chmod(filepath.Join(root, KeysDir, secureboot.KeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := MachineKey(root); fault.ClassOf(err) != fault.Security {
		t.Errorf("a key that others can read: %v", err)
	}
}

// What bears a signature is complete only with it, and the key of a partition that
// asks for signatures must be there.
func TestSignedFiles(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	key, err := MakeMachineKey(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := placeSigned(dir, "/ashlar/linux", []byte("kernel"), nil); err != nil {
		t.Fatal(err)
	}
	if !complete(dir, "/ashlar/linux", nil) || complete(dir, "/ashlar/linux", key) {
		t.Error("a kernel without a signature")
	}
	if err := placeSigned(dir, "/ashlar/linux", []byte("kernel"), key); err != nil {
		t.Fatal(err)
	}
	if !complete(dir, "/ashlar/linux", key) {
		t.Error("a kernel with its signature")
	}
	entry := &Entry{Generation: 1, Kernel: "/ashlar/linux", Options: "x"}
	if err := place(dir, "ashlar/old.sig", []byte("of what is gone")); err != nil {
		t.Fatal(err)
	}
	if err := sweep(dir, []*Entry{entry}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ashlar/old.sig")); !errors.Is(err, os.ErrNotExist) || !complete(dir, "/ashlar/linux", key) {
		t.Errorf("after sweeping: %v", err)
	}
}
