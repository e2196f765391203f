package loader

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"ashlar/iso/cpio"
)

// systemWith is a /usr whose program is this machine's ls, with the libraries
// that ldd says it needs.
func systemWith(t *testing.T, program string) fstest.MapFS {
	t.Helper()
	out, err := exec.Command("ldd", "/bin/ls").Output()
	if err != nil {
		t.Fatal(err)
	}
	usr := fstest.MapFS{program: {Data: read(t, "/bin/ls")}, "lib/libgcc_s.so.1": {Data: read(t, "/bin/true")}}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			usr["lib/"+filepath.Base(word)] = &fstest.MapFile{Data: read(t, word)}
		}
	}
	return usr
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// A program of the initial RAM file system runs there, with nothing else around.
func TestProgramsRunInTheRAMFileSystem(t *testing.T) {
	usr := systemWith(t, "bin/cryptsetup")
	usr["lib/unused.so"] = &fstest.MapFile{Data: []byte("x")}
	files, err := programs(usr, "root=UUID=1 rd.luks.uuid=2")
	if err != nil {
		t.Fatal(err)
	}
	if files["lib/unused.so"] != nil || files["lib/libgcc_s.so.1"] == nil {
		t.Errorf("libraries: %d files", len(files))
	}
	if os.Getuid() != 0 {
		return // only root may change the root
	}
	dir := t.TempDir()
	archive := filepath.Join(t.TempDir(), "initrd")
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	if err := cpio.Write(context.Background(), f, programEntries(files)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	unpack := exec.Command("cpio", "-id", "--quiet", "-F", archive)
	unpack.Dir = dir
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("chroot", dir, "/bin/cryptsetup", "/usr/bin").CombinedOutput()
	if err != nil || string(out) != "cryptsetup\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestProgramsFollowTheCommandLine(t *testing.T) {
	usr := systemWith(t, "bin/lvm")
	if files, err := programs(usr, "root=UUID=1 xrd.lvm.lv=a/b quiet"); err != nil || files != nil {
		t.Errorf("programs for nothing: %d, %v", len(files), err)
	}
	if _, err := programs(usr, "rd.md.uuid=1"); err == nil || !strings.Contains(err.Error(), "pkgtool install mdadm") && !strings.Contains(err.Error(), "rd.md.uuid") {
		t.Errorf("a missing program: %v", err)
	}
	for name := range usr {
		if strings.HasPrefix(name, "lib/libc.so") {
			delete(usr, name)
		}
	}
	if _, err := programs(usr, "rd.lvm.lv=a/b"); err == nil || !strings.Contains(err.Error(), "bin/lvm") || !strings.Contains(err.Error(), "needs libc.so") {
		t.Errorf("a missing library: %v", err)
	}
}
