package boot_test

import (
	"regexp"
	"strings"
	"testing"

	"ashlar/tests/boot"
)

// Where there is no room for an update, before it or suddenly in its middle, it is
// refused or undone with a clear word, nothing is lost, and the machine starts.
func TestFullDisk(t *testing.T) {
	onlyLife(t)
	vm := bootCopy(t, boot.UEFI)
	run(t, vm, `mkdir -p tree/usr/share/big tree/usr/lib/modules/99.1-large && for i in $(seq 30); do head -c 2000000 /dev/urandom >tree/usr/share/big/$i; done
cp /usr/lib/modules/*/vmlinuz tree/usr/lib/modules/99.1-large/ && head -c 4000000 /dev/urandom >>tree/usr/lib/modules/99.1-large/vmlinuz
printf 'schema: 1\nname: big\nversion: 1.0.0\nsummary: too big\n' >package.yaml`+packed+" && rm -r tree")
	state := "pkgtool list; pkgtool history; pkgtool loader list; ls /usr/share/big; pkgtool verify --store"
	before, _, err := vm.Run(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	install := "pkgtool install --yes --trust key.asc ./new.ashlar"
	fill := func(sizes string) string { // MiB of files
		return "mkdir -p /fill; for m in " + sizes + "; do fallocate -l $((m << 20)) /fill/$m || rm -f /fill/$m; done 2>/dev/null; "
	}
	const most, rest = "2048 1024 512 256 128 64", "32 16 8 4 2 1"

	// No room from the beginning: less than 64 MiB.
	run(t, vm, fill(most)+"df -m /")
	refused(t, vm, install, "make room first", state, before)

	// The last room goes while the question waits for its answer.
	run(t, vm, "rm -r /fill; (until grep -q 'go on' /run/said; do sleep 1; done; "+fill(most+" "+rest)+"cat /dev/zero >/fill/rest; sync; echo the-disk-is-full >/dev/console) 2>/dev/null &")
	if err := vm.Send("{ pkgtool install --trust key.asc ./new.ashlar; echo ended-with $?; } 2>&1 | tee /run/said\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := vm.Expect(t.Context(), regexp.MustCompile(`the-disk-is-full`)); err != nil {
		t.Fatal(err)
	}
	if err := vm.Send("y\n"); err != nil {
		t.Fatal(err)
	}
	ended, err := vm.Expect(t.Context(), regexp.MustCompile(`ended-with (\d+)$`))
	if err != nil {
		t.Fatal(err)
	}
	if ended[1] != "1" || !regexp.MustCompile(`no space left on device\n +try: .*pkgtool clean`).MatchString(tail(vm.Console())) {
		t.Errorf("a disk that fills up: ended with %s:\n%s", ended[1], tail(vm.Console()))
	}
	unchanged(t, vm, state, before)
	restart(t, vm) // with the disk still full
	logIn(t, vm)
	unchanged(t, vm, state, before)
	run(t, vm, "rm -r /fill")

	// No room for the kernel.
	esp := `mkdir -p /esp && for d in /dev/vda?*; do mount -t vfat $d /esp 2>/dev/null && break; done; test -d /esp/loader/entries && `
	run(t, vm, esp+`{ dd if=/dev/zero of=/esp/fill bs=1048576 2>/dev/null; umount /esp; }`)
	refused(t, vm, install, "the EFI system partition has", state, before)
	run(t, vm, esp+`rm /esp/fill && umount /esp`)

	run(t, vm, install+" && pkgtool verify --store >/dev/null && test $(ls /usr/share/big | wc -l) = 30")
	restart(t, vm)
	logIn(t, vm)
	if got := run(t, vm, "cat /run/ashlar/boot.json"); !strings.Contains(got, `"generation":2`) {
		t.Errorf("the start after that: %s", got)
	}
	powerOff(t, vm)
}

// refused demands that a command fails with a word and changes nothing.
func refused(t *testing.T, vm *boot.VM, command, word, state, before string) {
	t.Helper()
	output, code, err := vm.Run(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	if code != 1 || !strings.Contains(output, word) {
		t.Errorf("%s ended with %d, without the words %q:\n%s", command, code, word, output)
	}
	t.Log(output)
	unchanged(t, vm, state, before)
}

func unchanged(t *testing.T, vm *boot.VM, state, before string) {
	t.Helper()
	after, _, err := vm.Run(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	if after != before {
		t.Errorf("something has changed:\n%s\nbefore\n%s", after, before)
	}
}
