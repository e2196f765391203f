package boot_test

import (
	"regexp"
	"strings"
	"testing"

	"ashlar/tests/boot"
)

// A person goes back to what was there before in the boot menu, the next start
// stays there, and what was left can be had again. The last entry is a root shell.
func TestBootMenu(t *testing.T) {
	onlyLife(t)
	vm := bootCopy(t, boot.BIOS)
	mode := "cat /run/ashlar/boot.json"
	if got := run(t, vm, mode); !strings.Contains(got, `"mode":"default"`) {
		t.Errorf("a start that nobody touched: %s", got)
	}
	run(t, vm, "pkgtool remove --yes e2fsprogs e2fsprogs-libs") // libraries: ldconfig runs, also on the way back
	restart(t, vm)
	logIn(t, vm)
	blessed(t, vm, "generation 2.*good")
	if _, code, err := vm.Run(t.Context(), "ls /usr/bin/mke2fs"); err != nil || code == 0 {
		t.Fatalf("mke2fs is there after it was removed (%v)", err)
	}

	restart(t, vm)
	choose(t, vm, 1) // the newest entry is the first
	logIn(t, vm)
	if got := run(t, vm, mode); !strings.Contains(got, `"mode":"chosen"`) || !strings.Contains(got, `"requested":1`) || strings.Contains(got, "problem") {
		t.Errorf("a start that was chosen: %s", got)
	}
	run(t, vm, "ls /usr/bin/mke2fs && pkgtool verify >/dev/null")
	blessed(t, vm, "generation 3.*good")

	run(t, vm, "pkgtool rollback --yes 2 && ! ls /usr/bin/mke2fs && pkgtool rollback --yes 3 && ls /usr/bin/mke2fs")
	restart(t, vm)
	logIn(t, vm)
	if got := run(t, vm, mode); !strings.Contains(got, `"mode":"default"`) || !strings.Contains(got, `"generation":5`) {
		t.Errorf("the start after that: %s", got)
	}
	run(t, vm, "ls /usr/bin/mke2fs && pkgtool verify >/dev/null")
	entries := strings.Count(run(t, vm, "pkgtool loader list"), "Ashlar ")

	restart(t, vm)
	choose(t, vm, entries) // after every generation
	expectPrompt(t, vm, `# $`)
	run(t, vm, "test $$ = 1 && pkgtool verify >/dev/null")
}

// choose goes down some entries in GRUB's menu and starts what is there.
func choose(t *testing.T, vm *boot.VM, down int) {
	t.Helper()
	if _, err := vm.Expect(t.Context(), regexp.MustCompile(`Press enter to boot`)); err != nil {
		t.Fatal(err)
	}
	for range down {
		if err := vm.Send("v"); err != nil { // as the menu says
			t.Fatal(err)
		}
	}
	if err := vm.Send("\r"); err != nil {
		t.Fatal(err)
	}
}
