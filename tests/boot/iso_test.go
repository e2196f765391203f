package boot_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ashlar/repo/serve"
	"ashlar/tests/boot"
)

// prompt is the live system's root shell.
var prompt = regexp.MustCompile(`\w+:[~/]\S*#$`)

// bootISO boots the minimal ISO, or that of the options, to the prompt of its root shell.
func bootISO(t *testing.T, o boot.Options) *boot.VM {
	t.Helper()
	if o.Image == "" {
		o.Image = built(t, "ASHLAR_ISO", "ashlar-minimal.iso")
	}
	if o.Limit == 0 {
		o.Limit = 4 * time.Minute
	}
	if o.Idle == 0 {
		o.Idle = 90 * time.Second
	}
	o.Artifacts = artifacts(t)
	vm, err := boot.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	if _, err := vm.Expect(t.Context(), regexp.MustCompile(`live system on ttyS0`)); err != nil {
		t.Fatal(err)
	}
	if _, err := vm.ExpectPrompt(t.Context(), prompt); err != nil {
		t.Fatal(err)
	}
	t.Logf("prompt after %.1f s with %s", vm.Elapsed().Seconds(), vm.Accelerator())
	run(t, vm, "dmesg -n 1") // the kernel's later words stay out of the outputs
	return vm
}

// run runs a command that must succeed and returns its output.
func run(t *testing.T, vm *boot.VM, command string) string {
	t.Helper()
	output, code, err := vm.Run(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		vm.SaveArtifacts()
		t.Fatalf("%s ended with %d:\n%s", command, code, output)
	}
	return output
}

// The ISO gives a shell from every firmware and every medium, and switches off.
func TestISOBoots(t *testing.T) {
	for _, firmware := range []boot.Firmware{boot.BIOS, boot.UEFI} {
		for _, media := range []boot.Media{boot.CDROM, boot.USB} {
			t.Run(fmt.Sprintf("%s-%s", firmware, media), func(t *testing.T) {
				vm := bootISO(t, boot.Options{Firmware: firmware, Media: media})
				if got := run(t, vm, "uname -sr"); !regexp.MustCompile(`^Linux 6\.\d+\.\d+-ashlar-virt-[0-9]+$`).MatchString(got) {
					t.Errorf("uname: %q", got)
				}
				if got := run(t, vm, ". /etc/os-release; echo $ID"); got != "ashlar" {
					t.Errorf("os-release says %q", got)
				}
				efi := run(t, vm, "test -d /sys/firmware/efi && echo uefi || echo bios")
				if efi != string(firmware) {
					t.Errorf("booted by %s", efi)
				}
				for _, name := range []string{"filesystem", "glibc", "busybox", "pkgtool"} {
					if list := run(t, vm, "pkgtool list"); !regexp.MustCompile(`(?m)^` + name + `\b`).MatchString(list) {
						t.Errorf("pkgtool list has no %s:\n%s", name, list)
					}
				}
				if got := run(t, vm, "stat -f -c %T / ; touch /usr/proof && echo writable"); !strings.HasSuffix(got, "writable") {
					t.Errorf("the root is not writable: %q", got)
				}
				// Emulation offers SVM to the guest: the kernel must take it.
				run(t, vm, "test -c /dev/kvm")
				if err := vm.Send("poweroff\n"); err != nil {
					t.Fatal(err)
				}
				if reason, err := vm.Wait(t.Context()); err != nil || reason != "guest-shutdown" {
					t.Errorf("poweroff ended with %q, %v", reason, err)
				}
			})
		}
	}
}

// serveRepository serves a repository to guests and returns its URL as they see it.
func serveRepository(t *testing.T, dir string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := serve.New(dir, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, serve.Listener{Listener: listener}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return fmt.Sprintf("http://10.0.2.2:%d/", listener.Addr().(*net.TCPAddr).Port)
}

// connect points the guest's repository at url and waits for its network.
func connect(t *testing.T, vm *boot.VM, url string) {
	t.Helper()
	run(t, vm, `sed -i 's|http://10\.0\.2\.2:[0-9]*/|`+url+`|' /etc/pkgtool/repositories.d/*.yaml && grep -q '`+url+`' /etc/pkgtool/repositories.d/*.yaml`)
	run(t, vm, `for i in $(seq 60); do ip route | grep -q default && break; sleep 1; done; ip route | grep default`)
}

// A package comes over HTTP from `pkgtool repo serve` on the host, works, and
// goes again without a trace.
func TestISOInstallsOverHTTP(t *testing.T) {
	published := built(t, "ASHLAR_REPO", "repo")
	vm := bootISO(t, boot.Options{Net: true})
	connect(t, vm, serveRepository(t, published))

	if _, code, err := vm.Run(t.Context(), "command -v dropbear"); err != nil || code == 0 {
		t.Fatalf("dropbear is there before it is installed (%v)", err)
	}
	run(t, vm, "pkgtool install --yes dropbear")
	if got := run(t, vm, "dropbearkey -t ed25519 -f /etc/dropbear/dropbear_ed25519_host_key"); !strings.Contains(got, "ssh-ed25519 ") {
		t.Errorf("dropbearkey: %q", got)
	}
	// It serves, compressed by the library that came along.
	run(t, vm, "dropbear -p 127.0.0.1:2222 && dropbearkey -t ed25519 -f key && mkdir -p -m 0700 .ssh"+
		" && dropbearkey -y -f key | grep ^ssh- > .ssh/authorized_keys")
	if got := run(t, vm, "dbclient -y -y -i key -p 2222 root@127.0.0.1 'echo through $0' 2>/dev/null"); !strings.HasPrefix(got, "through ") {
		t.Errorf("dbclient: %q", got)
	}
	if got := run(t, vm, "pkgtool list"); !regexp.MustCompile(`(?m)^dropbear\b`).MatchString(got) || !regexp.MustCompile(`(?m)^zlib\b`).MatchString(got) {
		t.Errorf("pkgtool list has not both dropbear and zlib:\n%s", got)
	}
	run(t, vm, "pkgtool remove --yes dropbear")
	if _, code, err := vm.Run(t.Context(), "ls /usr/bin/dropbear"); err != nil || code == 0 {
		t.Errorf("dropbear is there after it was removed (%v)", err)
	}
}

// A mirror that changes what it serves is refused, and nothing is installed.
func TestISORefusesATamperedMirror(t *testing.T) {
	published := built(t, "ASHLAR_REPO", "repo")
	cases := []struct {
		name   string
		tamper func(t *testing.T, dir string)
	}{
		{"package", func(t *testing.T, dir string) { flip(t, dir, "pool/*/*/*tree-[0-9]*.ashlar") }},
		{"metadata", func(t *testing.T, dir string) { flip(t, dir, "metadata/*.snapshot.json") }},
		{"index", func(t *testing.T, dir string) { flip(t, dir, "index/*.zst") }},
	}
	vm := bootISO(t, boot.Options{Net: true})
	installed := run(t, vm, "pkgtool list")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(published)); err != nil {
				t.Fatal(err)
			}
			c.tamper(t, dir)
			// What an earlier mirror gave must not stand in for this one's.
			run(t, vm, "rm -rf /var/lib/pkgtool/repositories /var/cache/pkgtool")
			connect(t, vm, serveRepository(t, dir))
			output, code, err := vm.Run(t.Context(), "pkgtool refresh && pkgtool install --yes tree")
			if err != nil {
				t.Fatal(err)
			}
			if code != 4 {
				t.Errorf("ended with %d, and a security refusal is 4:\n%s", code, output)
			}
			if _, code, err := vm.Run(t.Context(), "ls /usr/bin/tree"); err != nil || code == 0 {
				t.Errorf("tree is there (%v)", err)
			}
			if now := run(t, vm, "pkgtool list"); now != installed {
				t.Errorf("installed packages have changed:\n%s", now)
			}
		})
	}
	// The machine is not harmed: from an honest mirror the same request works.
	run(t, vm, "rm -rf /var/lib/pkgtool/repositories /var/cache/pkgtool")
	connect(t, vm, serveRepository(t, published))
	run(t, vm, "pkgtool refresh && pkgtool install --yes tree && tree --version")
}

// flip changes one byte in the middle of every file that matches.
func flip(t *testing.T, dir, pattern string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing matches %s (%v)", pattern, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(data)
		changed[len(changed)/2] ^= 1
		os.Chmod(file, 0o644)
		if err := os.WriteFile(file, changed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
