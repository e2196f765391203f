package build

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/abi/abitest"
	"ashlar/signing"
	"ashlar/signing/kmod"
)

// Modules are signed when a package leaves the cache: what is cached, and its
// key, know nothing of who signs.
func TestKernelModulesAreSignedAfterTheBuild(t *testing.T) {
	signer, err := signing.Generate("test", "", time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := kmod.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := kmod.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	module := text(t, abitest.Compile(t, `__attribute__((section(".modinfo"), used)) static const char info[] = "name=x";`, "-c"))
	b.write("k/module", module)
	const path = "usr/lib/modules/6.1.0/kernel/x.ko"
	b.recipe("k", "build: {strip: false}", "copy, module, "+path, "put, usr/lib/modules/6.1.0/vmlinuz, kernel")
	content := func() []byte {
		t.Helper()
		p := b.pkg("k-1.0.0-1.x86_64.ashlar")
		r, err := p.OpenFrameFile(p.Manifest().File(path))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	b.must()
	if got := string(content()); got != module {
		t.Fatal("without a key, the module was changed")
	}
	b.setUp = func(e *Engine) { e.Signer, e.Modules = signer, func() (*kmod.Key, error) { return key, nil } }
	if built, packed := b.must(); built+packed != "" {
		t.Errorf("the key made %s build or pack again", built+packed)
	}
	if plain, err := key.Verify(content()); err != nil || string(plain) != module {
		t.Errorf("the exported module: %v", err)
	}
	keyring, err := signing.NewKeyring(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	p := b.pkg("k-1.0.0-1.x86_64.ashlar")
	if _, err := p.VerifySignature(keyring, signing.Policy{}); err != nil {
		t.Errorf("the package with signed modules: %v", err)
	}
	if provides := strings.Join(p.Manifest().Provides, ", "); !strings.Contains(provides, "kmod(x)") {
		t.Errorf("it lost what it provides: %s", provides)
	}
	file := filepath.Join(b.out, "k-1.0.0-1.x86_64.ashlar")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(file)
	b.must()
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was written again: %v", err)
	}
	if err := os.WriteFile(file, good[:len(good)-5], 0o644); err != nil {
		t.Fatal(err)
	}
	b.must()
	if now, err := os.ReadFile(file); err != nil || string(now) != string(good) {
		t.Errorf("damaged, it was not made again as it was: %v", err)
	}
	b.setUp = func(e *Engine) { e.Signer, e.Modules = signer, func() (*kmod.Key, error) { return other, nil } }
	b.must()
	if _, err := other.Verify(content()); err != nil {
		t.Errorf("with another key: %v", err)
	}
}

// What a user puts on top of a kernel is part of its configuration's build and
// of nothing else's.
func TestOwnFilesAreInTheKey(t *testing.T) {
	b := newBench(t)
	b.recipe("linux-x-config", "", "put, usr/share/x.config, x")
	b.recipe("linux-x", "", "put, usr/lib/modules/1/vmlinuz, x")
	b.must()
	mine := filepath.Join(t.TempDir(), "mine.config")
	b.setUp = func(e *Engine) {
		if err := e.KernelFragments("linux-x", mine); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"CONFIG_A=y\n", "CONFIG_A=m\n"} {
		if err := os.WriteFile(mine, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		built, _ := b.must()
		expect(t, "own fragment", built, "linux-x-config")
		built, _ = b.must()
		expect(t, "the same again", built, "")
	}
	e := b.engine()
	for kernel, want := range map[string]string{"linux-x-config": "takes no fragments", "linux-x": "ends in .config"} {
		if err := e.KernelFragments(kernel, filepath.Join(t.TempDir(), "mine.txt")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", kernel, err, want)
		}
	}
}
