// The command init is the only program of a test guest: it says what it sees
// and then does what its argument says.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	for _, m := range [][2]string{{"proc", "/proc"}, {"devtmpfs", "/dev"}, {"sysfs", "/sys"}} {
		os.MkdirAll(m[1], 0o755)
		syscall.Mount(m[0], m[1], m[0], 0, "")
	}
	uptime, _ := os.ReadFile("/proc/uptime")
	version, _ := os.ReadFile("/proc/version")
	fmt.Printf("\nINIT after %s s of %s\n", strings.Fields(string(uptime) + " ?")[0], strings.TrimSpace(string(version)))
	switch os.Args[len(os.Args)-1] {
	case "exit":
		os.Exit(3)
	case "crash":
		os.WriteFile("/proc/sys/kernel/sysrq", []byte("1"), 0)
		fmt.Println(os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0))
	case "hang":
		time.Sleep(time.Hour)
	case "button":
		powerButton()
	}
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

// powerButton waits until the ACPI button arrives as a key.
func powerButton() {
	pressed := make(chan bool)
	devices, _ := filepath.Glob("/dev/input/event*")
	for _, d := range devices {
		// Open before anybody is told: a key pressed earlier is lost.
		f, err := os.Open(d)
		if err != nil {
			continue
		}
		go func() {
			event := make([]byte, 24) // struct input_event: time, type, code, value
			for {
				if _, err := f.Read(event); err != nil {
					return
				}
				const key, power = 1, 116
				if event[16] == key && event[18] == power {
					pressed <- true
				}
			}
		}()
	}
	fmt.Println("waiting for the power button")
	<-pressed
}
