package boot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"ashlar/pkgtool/fault"
)

func (l layout) tpm() string { return filepath.Join(l.dir, "tpm") }

// startTPM starts swtpm with its state in a folder. It ends when QEMU hangs up, and
// at the latest with this process.
func (v *VM) startTPM(state string) error {
	program, err := exec.LookPath("swtpm")
	if err != nil {
		return fault.Mark(err, fault.Usage, "a machine with a TPM needs swtpm: apt-get install swtpm")
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	v.tpm = exec.Command(program, "socket", "--tpm2", "--terminate", "--tpmstate", "dir="+state, "--ctrl", "type=unixio,path="+v.layout.tpm())
	v.tpm.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the kernel ends it with the thread that started it
		err := v.tpm.Start()
		started <- err
		if err == nil {
			ended <- v.tpm.Wait()
		}
	}()
	if err := <-started; err != nil {
		v.tpm = nil
		return fmt.Errorf("start swtpm: %w", err)
	}
	v.tpmEnded = ended
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(v.layout.tpm()); err == nil {
			return nil
		}
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("swtpm ended: %v; does another machine use %s?", err, state)
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("swtpm does not listen")
		}
	}
}

// stopTPM waits for swtpm, which writes its state when QEMU hangs up.
func (v *VM) stopTPM() {
	if v.tpm == nil {
		return
	}
	select {
	case <-v.tpmEnded:
	case <-time.After(5 * time.Second):
		v.tpm.Process.Kill()
		<-v.tpmEnded
	}
	v.tpm = nil
}
