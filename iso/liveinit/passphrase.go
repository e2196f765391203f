package main

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// unlockTPM opens an encrypted device with a key that the machine's TPM has sealed
// (pkgtool/diskkey/unlock).
const unlockTPM = "/usr/lib/ashlar/unlock-disk"

// unlock opens an encrypted device: with the TPM's key, if there may be one, or
// else with a passphrase, which is asked for until it fits. There is nothing else
// that this machine could do.
func unlock(device, id string, tpm bool) error {
	if unix.Access("/usr/bin/cryptsetup", unix.X_OK) != nil {
		return failed("open the encrypted device "+device, 0, unix.ENOENT)
	}
	if err := makeDirs("/run/cryptsetup"); err != nil {
		return err
	}
	unix.Chmod("/run/cryptsetup", 0o700)
	if tpm {
		code, err := runProgram(unlockTPM, device, "luks-"+id)
		if err == nil && code == 0 {
			say("encrypted device " + device + " is open; the TPM had its key")
			return nil
		}
		if err != nil {
			log(priorityAlert, failed("open the encrypted device "+device+" with the TPM", code, err).Error())
		}
	}
	for {
		passphrase, err := ask("Passphrase for " + device + " (luks-" + id + "): ")
		if err != nil {
			return err
		}
		code, err := runFed(passphrase, "/usr/bin/cryptsetup", "open", "--key-file=-", device, "luks-"+id)
		clear(passphrase)
		switch {
		case err != nil:
			return failed("open the encrypted device "+device, code, err)
		case code == 0:
			say("encrypted device " + device + " is open")
			return nil
		case code != 2: // not a wrong passphrase
			log(priorityAlert, "cryptsetup ended with "+decimal(code))
		}
	}
}

// consoles are the terminals that the kernel writes its messages to.
func consoles() (open []int) {
	text, _ := readFile("/sys/class/tty/console/active", 4096)
	for _, name := range strings.Fields(string(text)) {
		if fd, err := unix.Open("/dev/"+name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err == nil {
			if isTerminal(fd) {
				open = append(open, fd)
			} else {
				unix.Close(fd)
			}
		}
	}
	return open
}

// ask shows a question on all consoles and returns the first line that is typed
// on one of them, without showing it.
func ask(question string) ([]byte, error) {
	terminals := consoles()
	if len(terminals) == 0 {
		return nil, failure("there is no console to ask on: " + question)
	}
	poll := make([]unix.PollFd, len(terminals))
	for i, fd := range terminals {
		defer unix.Close(fd)
		if before, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			defer unix.IoctlSetTermios(fd, unix.TCSETS, before)
			quiet := *before
			quiet.Lflag = quiet.Lflag&^(unix.ECHO|unix.ECHOE|unix.ECHOK|unix.ECHONL) | unix.ICANON
			quiet.Iflag |= unix.ICRNL
			unix.IoctlSetTermios(fd, unix.TCSETSF, &quiet) // what was typed before is not an answer
		}
		unix.Write(fd, []byte("\r\n"+question))
		poll[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	lines := make([][]byte, len(terminals))
	for {
		if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR {
			return nil, wrap("wait for a passphrase", err)
		}
		for i := range poll {
			if poll[i].Revents&unix.POLLIN == 0 {
				if poll[i].Revents != 0 {
					poll[i].Fd = -1 // it was hung up
				}
				continue
			}
			b := make([]byte, 512)
			n, err := unix.Read(terminals[i], b)
			if err != nil || n <= 0 {
				continue
			}
			lines[i] = append(lines[i], b[:n]...)
			if line, _, whole := strings.Cut(string(lines[i]), "\n"); whole {
				for _, fd := range terminals {
					unix.Write(fd, []byte("\r\n"))
				}
				return []byte(line), nil
			}
		}
	}
}

// runFed is runProgram with something to read, of less than a pipe holds.
func runFed(input []byte, program string, args ...string) (code int, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, err
	}
	unix.Write(pipe[1], input)
	unix.Close(pipe[1])
	defer unix.Close(pipe[0])
	return run3([]uintptr{uintptr(pipe[0]), 1, 2}, program, args...)
}

// run3 runs a program with three open files, and waits for its end.
func run3(files []uintptr, program string, args ...string) (code int, err error) {
	pid, err := syscall.ForkExec(program, append([]string{program}, args...), &syscall.ProcAttr{
		Env: []string{"PATH=/usr/bin:/bin", "TERM=linux", "LVM_SUPPRESS_FD_WARNINGS=1", "DM_DISABLE_UDEV=1"}, Files: files,
	})
	if err != nil {
		return 0, err
	}
	var status unix.WaitStatus
	for {
		got, err := unix.Wait4(pid, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, wrap("wait for "+program, err)
		}
		if got == pid {
			break
		}
	}
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}
