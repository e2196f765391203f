package powercut

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnflushedWritesCanBeLost writes to ext4 on such a disk: what was flushed is
// in every image, what was not is missing from some.
func TestUnflushedWritesCanBeLost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loop devices and mounts need root")
	}
	d := NewDisk(64 << 20)
	served, mounted := t.TempDir(), t.TempDir()
	if err := d.Serve(served); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	run(t, "mkfs.ext4", "-q", "-F", d.Path)
	device := strings.TrimSpace(run(t, "losetup", "--find", "--show", "--direct-io=on", d.Path))
	defer exec.Command("losetup", "-d", device).Run()
	run(t, "mount", device, mounted)
	run(t, "sync", "-f", mounted)
	d.Begin()
	if err := os.WriteFile(filepath.Join(mounted, "kept"), bytes.Repeat([]byte("k"), 10_000), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "sync", filepath.Join(mounted, "kept"))
	safe := d.Events()
	if err := os.WriteFile(filepath.Join(mounted, "lost"), []byte("l"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "umount", mounted)
	if len(d.Flushes()) < 2 || safe == d.Events() {
		t.Fatalf("flushes after %v of %d events, the first file is safe after %d", d.Flushes(), d.Events(), safe)
	}
	for _, c := range []struct {
		events int
		keep   bool
		lost   bool
	}{{safe, false, false}, {safe, true, false}, {d.Events(), true, true}} {
		image := filepath.Join(t.TempDir(), "image")
		if err := d.Image(image, c.events, func() bool { return c.keep }); err != nil {
			t.Fatal(err)
		}
		at := t.TempDir()
		run(t, "mount", "-o", "loop", image, at)
		data, err := os.ReadFile(filepath.Join(at, "kept"))
		if err != nil || len(data) != 10_000 {
			t.Errorf("after %d events: flushed file has %d bytes, %v", c.events, len(data), err)
		}
		if _, err := os.Stat(filepath.Join(at, "lost")); (err == nil) != c.lost {
			t.Errorf("after %d events: file written later: %v", c.events, err)
		}
		run(t, "umount", at)
	}
}

func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}
