package boot

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// start boots a one-sector guest with small limits.
func start(t *testing.T, image string, change func(*Options)) *VM {
	t.Helper()
	o := Options{Image: image, Media: Disk, Memory: 32, SMP: 1,
		Limit: 60 * time.Second, Idle: 30 * time.Second, Artifacts: filepath.Join(t.TempDir(), "artifacts")}
	if change != nil {
		change(&o)
	}
	vm, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	})
	return vm
}

func TestExpectTakesWholeLinesInOrder(t *testing.T) {
	vm := start(t, guest(t, "\x1b[2J\x1b[1;1Hhello\r\nREADY 12345\r\nhello\r\nlogin: ", halts), nil)
	m, err := vm.Expect(t.Context(), regexp.MustCompile(`^READY (\d+)`))
	if err != nil {
		t.Fatal(err)
	}
	if m[1] != "12345" {
		t.Errorf("got %q", m[1])
	}
	if _, err := vm.Expect(t.Context(), regexp.MustCompile(`^hello$`)); err != nil {
		t.Fatal(err)
	}
	if _, err := vm.ExpectPrompt(t.Context(), regexp.MustCompile(`login:$`)); err != nil {
		t.Fatal(err)
	}
	if _, err := vm.ExpectPrompt(t.Context(), regexp.MustCompile(`login: $`)); err != nil {
		t.Fatal(err)
	}
	if got := vm.Console(); !strings.Contains(got, "hello\nREADY 12345\nhello\nlogin:") {
		t.Errorf("console:\n%q", got)
	}
}

func TestExpectTextBehindWhichSomethingIs(t *testing.T) {
	vm := start(t, guest(t, "one login: [    1.0] eth0: up\r\nlast login: ", halts), nil)
	for _, text := range []string{`one login: `, `last login: `} {
		if _, err := vm.ExpectText(t.Context(), regexp.MustCompile(text)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSendReachesTheGuest(t *testing.T) {
	vm := start(t, guest(t, "echo on\n", echoes), nil)
	if _, err := vm.Expect(t.Context(), regexp.MustCompile(`^echo on$`)); err != nil {
		t.Fatal(err)
	}
	if err := vm.Send("some words\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := vm.Expect(t.Context(), regexp.MustCompile(`^some words$`)); err != nil {
		t.Fatal(err)
	}
}

// Each way a boot can go wrong ends the wait for its own reason, soon, and
// leaves the files that help.
func TestFailures(t *testing.T) {
	cases := []struct {
		name, text string
		end        then
		change     func(*Options)
		want       string
		dead       bool
	}{
		{"panic", "[    1.0] Kernel panic - not syncing: no init\r\n", halts, nil, "Kernel panic - not syncing: no init", false},
		{"boot loader", "error: file `/boot/vmlinuz' not found.\n", halts, nil, "error: file", false},
		{"boot loader's prompt", "grub rescue> ", halts, nil, "grub rescue>", false},
		{"hang", "starting\n", halts, func(o *Options) { o.Idle = time.Second }, "nothing on the console for 1s", false},
		{"total limit", "starting\n", halts, func(o *Options) { o.Limit = 2 * time.Second }, "the limit of 2s", false},
		{"reset", "going down\n", resets, nil, "QEMU has ended", true},
		{"own pattern", "unit x failed\n", halts, func(o *Options) { o.Fatal = []*regexp.Regexp{regexp.MustCompile(`unit \w+ failed`)} }, "unit x failed", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			vm := start(t, guest(t, c.text, c.end), c.change)
			begin := time.Now()
			_, err := vm.Expect(t.Context(), regexp.MustCompile(`^never printed$`))
			var failure *Failure
			if !errors.As(err, &failure) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			names := []string{"console.raw", "console.txt", "qemu.log", "events.txt"}
			if !c.dead {
				names = append(names, "screen.png", "registers.txt")
			}
			for _, name := range names {
				data, err := os.ReadFile(filepath.Join(failure.Artifacts, name))
				if err != nil {
					t.Error(err)
				}
				switch name {
				case "console.txt":
					if !strings.Contains(string(data), strings.TrimSpace(c.text)) {
						t.Errorf("console.txt:\n%s", data)
					}
				case "screen.png":
					if !bytes.HasPrefix(data, []byte("\x89PNG")) {
						t.Errorf("screen.png begins with %q", data[:min(len(data), 8)])
					}
				case "qemu.log":
					if !strings.Contains(string(data), "-machine q35") {
						t.Errorf("qemu.log:\n%s", data)
					}
				}
			}
		})
	}
}

func TestAllowedAndLaterErrorsAreNotFatal(t *testing.T) {
	vm := start(t, guest(t, "error: no such device: x.\nLinux version 6.1\nerror: a program's own\nDONE\n", halts), func(o *Options) {
		o.Allow = []*regexp.Regexp{regexp.MustCompile(`no such device`)}
	})
	if _, err := vm.Expect(t.Context(), regexp.MustCompile(`^DONE$`)); err != nil {
		t.Fatal(err)
	}
}

func TestWaitTellsWhyTheMachineEnded(t *testing.T) {
	vm := start(t, guest(t, "bye\n", resets), nil)
	reason, err := vm.Wait(t.Context())
	if err != nil || reason != "guest-reset" {
		t.Errorf("got %q, %v", reason, err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	vm := start(t, guest(t, "x\n", halts), nil)
	pid, dir := vm.cmd.Process.Pid, vm.layout.dir
	if err := vm.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err == nil {
		t.Error("QEMU is still there")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("its folder is still there")
	}
}

func TestCancelEndsAWait(t *testing.T) {
	vm := start(t, guest(t, "x\n", halts), nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(500*time.Millisecond, cancel)
	if _, err := vm.Expect(ctx, regexp.MustCompile(`^never$`)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestImageIsNotWritten(t *testing.T) {
	image := guest(t, "x\n", halts)
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, media := range []Media{CDROM, USB, Disk} {
		args := strings.Join(drives(Options{Image: image, Media: media}), " ")
		if !strings.Contains(args, "snapshot=on") && !strings.Contains(args, "readonly=on") {
			t.Errorf("%s can write to the image: %s", media, args)
		}
	}
	vm := start(t, image, func(o *Options) { o.Media = USB })
	if _, err := vm.Expect(t.Context(), regexp.MustCompile(`^x$`)); err != nil {
		t.Fatal(err)
	}
	vm.Close()
	if after, _ := os.ReadFile(image); !bytes.Equal(before, after) {
		t.Error("the image has changed")
	}
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	image := guest(t, "x\n", halts)
	cases := []struct {
		name string
		o    Options
		want string
	}{
		{"program", Options{Image: image, QEMU: "qemu-system-none"}, "QEMU is not there"},
		{"image", Options{Image: image + ".none"}, "Could not open"},
		{"nothing", Options{}, "nothing to boot"},
		{"media", Options{Image: image, Media: "tape"}, "choose cdrom, usb or disk"},
		{"argument", Options{Image: image, Extra: []string{"-device", "no-such-device"}}, "no-such-device"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			vm, err := Start(t.Context(), c.o)
			if err == nil {
				vm.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	o, err := Options{Image: "a,b.iso", Firmware: UEFI, Forward: []Forward{{2222, 22}}, Net: true,
		Drives:        []Drive{{Path: "d.qcow2", Format: "qcow2", Interface: "nvme", Boot: true}},
		FirmwareFiles: map[string]string{"opt/answer": "answer.yaml"}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(arguments(o, layout{dir: "/d", accelerator: "tcg", code: "C", vars: "V"}), " ")
	for _, want := range []string{
		"-accel tcg", "-cpu max -m 1024 -smp 2", "-no-reboot", " -S ",
		"if=pflash,unit=0,format=raw,readonly=on,file=C", "if=pflash,unit=1,format=raw,file=V",
		"file=a,,b.iso,media=cdrom,readonly=on -device ide-cd,bus=ide.0,drive=drive0,bootindex=0",
		"format=qcow2,file=d.qcow2 -device nvme,serial=drive1,drive=drive1,bootindex=1",
		"user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22", "-fw_cfg name=opt/answer,file=answer.yaml",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

func TestProbe(t *testing.T) {
	qemu, err := program("")
	if err != nil {
		t.Fatal(err)
	}
	if err := probeKVM(t.Context(), qemu, "tcg"); err != nil {
		t.Errorf("the probe's guest does not run in emulation: %v", err)
	}
	begin := time.Now()
	err = ProbeKVM(t.Context(), "")
	t.Logf("KVM: %v, after %v", err, time.Since(begin))
	if again := ProbeKVM(t.Context(), ""); again != err {
		t.Errorf("the second answer differs: %v", again)
	}
}

// The bytes in probe.go are probe.asm: binutils is the judge.
func TestProbeCodeIsItsSource(t *testing.T) {
	for _, tool := range []string{"as", "ld"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed, and it assembles the probe again; pkgtool/bootstrap.sh test installs it", tool)
		}
	}
	dir := t.TempDir()
	object, binary := filepath.Join(dir, "o"), filepath.Join(dir, "b")
	for _, args := range [][]string{
		{"as", "-o", object, "probe.asm"},
		{"ld", "-Ttext", "0x7c00", "--oformat", "binary", "-e", "start", "-o", binary, object},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	if data, err := os.ReadFile(binary); err != nil || !bytes.Equal(data, probeSector()) {
		t.Errorf("probe.go is not probe.asm assembled (%v)", err)
	}
}
