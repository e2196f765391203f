package boot

import (
	"bufio"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// BenchmarkFirstLine is the time from nothing to a guest's first line and back
// to nothing, by the harness and by QEMU alone with its console on a pipe.
func BenchmarkFirstLine(b *testing.B) {
	image := guest(b, "first line\n", halts)
	b.Run("harness", func(b *testing.B) {
		for b.Loop() {
			vm, err := Start(b.Context(), Options{Image: image, Media: Disk, Memory: 32, SMP: 1})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := vm.Expect(b.Context(), regexp.MustCompile(`^first line$`)); err != nil {
				b.Fatal(err)
			}
			vm.Close()
		}
	})
	b.Run("qemu", func(b *testing.B) {
		qemu, err := program("")
		if err != nil {
			b.Fatal(err)
		}
		o, _ := Options{Image: image, Media: Disk, Memory: 32, SMP: 1}.withDefaults()
		all := arguments(o, layout{dir: b.TempDir(), accelerator: "tcg"})
		var args []string // without the sockets, and running at once
		for i := 0; i < len(all); i++ {
			switch all[i] {
			case "-chardev", "-mon", "-serial":
				i++
			case "-S":
			default:
				args = append(args, all[i])
			}
		}
		for b.Loop() {
			cmd := exec.Command(qemu, append(args, "-serial", "stdio")...)
			out, err := cmd.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && !strings.Contains(lines.Text(), "first line") {
			}
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
}
