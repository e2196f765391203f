package loader

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestStateSurvivesItsBlock(t *testing.T) {
	for _, want := range []State{
		{Menu: "a", Tries: -1},
		{Menu: "b", Generation: 12, Tries: 3, Good: 11, Failed: 9},
		{Menu: "a", Generation: 1 << 60, Tries: 0, Good: 1 << 60, Failed: 1 << 60},
	} {
		block := want.encode()
		if len(block) != blockSize || strings.IndexByte(string(block), '#') != 0 || len(strings.TrimRight(string(block), "#")) > 512 {
			t.Errorf("%+v: %d bytes\n%s", want, len(block), block)
		}
		if got := decodeState(block); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	for _, text := range []string{"", "menu=c\ntries=9\ngeneration=-4\ngood=x\n", "\x00\x00"} {
		if got := decodeState([]byte(text)); got != (State{Menu: "a", Tries: -1}) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// The tool that GRUB brings for its environment blocks reads ours.
func TestGRUBReadsTheBlock(t *testing.T) {
	tool, err := exec.LookPath("grub-editenv")
	if err != nil {
		t.Fatalf("%v; pkgtool/bootstrap.sh test installs it", err)
	}
	file := filepath.Join(t.TempDir(), "grubenv")
	if err := os.WriteFile(file, State{Menu: "b", Generation: 12, Tries: 3, Good: 11}.encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, file, "set", "tries=2").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(tool, file, "list").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "menu=b\n") || !strings.Contains(string(out), "good=11\n") {
		t.Errorf("%v\n%s", err, out)
	}
	block, err := os.ReadFile(file)
	if got := decodeState(block); err != nil || got.Tries != 2 || got.Generation != 12 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEntrySurvivesItsFile(t *testing.T) {
	want := Entry{12, "Ashlar 1, generation 12", "6.1.1", "/ashlar/linux-1", "/ashlar/initrd-2", "root=UUID=x quiet"}
	got := decodeEntry(12, want.encode())
	if got == nil || *got != want {
		t.Errorf("got %+v", got)
	}
	text := string(want.encode())
	for name, broken := range map[string]string{
		"empty": "", "zeros": strings.Repeat("\x00", len(text)), "cut": text[:len(text)-3],
		"other number": strings.Replace(text, "generation=12\n", "generation=2\n", 1),
		"elsewhere":    strings.Replace(text, "/ashlar/linux-1", "/evil/linux", 1),
	} {
		if e := decodeEntry(12, []byte(broken)); e != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
	for name, want := range map[string]bool{"ashlar-7.conf": true, "ashlar-07.conf": false, "ashlar-.conf": false, "other-7.conf": false} {
		if _, ok := generationOf(name); ok != want {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

// GRUB's own reader of scripts is the judge of what we write.
func TestGRUBReadsConfigAndMenu(t *testing.T) {
	tool, err := exec.LookPath("grub-script-check")
	if err != nil {
		t.Fatalf("%v; pkgtool/bootstrap.sh test installs it", err)
	}
	text, err := menu([]*Entry{
		{Generation: 3, Title: "Three; {with} $signs", Kernel: "/ashlar/linux-3", Initrd: "/ashlar/initrd-3", Options: `a="b c" d`},
		{Generation: 12, Title: "Twelve", Kernel: "/ashlar/linux-3", Options: "root=x"},
	}, 3, "grub.pbkdf2.sha512.10000.AB.CD")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{Config, string(text)} {
		cmd := exec.Command(tool)
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, script)
		}
	}
	// GRUB takes the variable "default" away before it runs an entry.
	if strings.Contains(string(text), "$default") || !strings.Contains(string(text), `"$chosen" != "g$generation"`) {
		t.Errorf("a start by default looks like a chosen one:\n%s", text)
	}
	first, rescue := strings.Index(string(text), "--id g12"), strings.Index(string(text), "'Rescue: a root shell on Three")
	if first < 0 || first > strings.Index(string(text), "--id g3 ") || rescue < first {
		t.Errorf("order of\n%s", text)
	}
	for _, bad := range []Entry{{Title: "it's", Options: "x"}, {Title: "x", Options: "a 'b"}} {
		if _, err := menu([]*Entry{&bad}, 0, ""); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

func TestPasswordOfTheMenu(t *testing.T) {
	root := t.TempDir()
	if hash, err := readPassword(os.DirFS(root)); err != nil || hash != "" {
		t.Errorf("without a file: %q, %v", hash, err)
	}
	path := filepath.Join(root, PasswordPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{"grub.pbkdf2.sha512.10000.A1B2.C3D4\n": true, "secret\n": false, "grub.pbkdf2.sha512.1.AB.CD\nset x=y": false, "": false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		hash, err := readPassword(os.DirFS(root))
		if good != (err == nil) || good && hash != strings.TrimSpace(text) {
			t.Errorf("%q: %q, %v", text, hash, err)
		}
	}
}

func TestNewestKernelIsTaken(t *testing.T) {
	usr := fstest.MapFS{
		liveInit: {Data: []byte("live")}, recovery: {Data: []byte("recover")},
		"lib/modules/6.9.1-virt-1/vmlinuz":  {Data: []byte("old")},
		"lib/modules/6.10.0-virt-1/vmlinuz": {Data: []byte("new")},
		"lib/modules/6.10.0-virt/vmlinuz":   {Data: []byte("older")},
	}
	k, err := findKernel(usr, "")
	if err != nil || k.Release != "6.10.0-virt-1" {
		t.Fatalf("%+v, %v", k, err)
	}
	before := k.digest
	usr[recovery] = &fstest.MapFile{Data: []byte("another")}
	if k, err = findKernel(usr, ""); err != nil || k.digest == before {
		t.Errorf("the initial RAM file system of another program has the same name (%v)", err)
	}
	delete(usr, liveInit)
	if _, err := findKernel(usr, ""); err == nil {
		t.Error("a system without live-init could start")
	}
	if _, err := findKernel(fstest.MapFS{}, ""); err == nil || !strings.Contains(err.Error(), "no kernel") {
		t.Errorf("got %v", err)
	}
}
