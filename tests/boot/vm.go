package boot

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"ashlar/pkgtool/fault"
)

// maxConsole bounds the text that is kept; a guest that writes more is broken.
const maxConsole = 64 << 20

// VM is a running machine. Close it always.
type VM struct {
	options Options
	layout  layout
	cmd     *exec.Cmd
	started time.Time
	monitor *monitor
	serial  net.Conn
	log     *os.File // QEMU's own words
	cancel  context.CancelFunc

	tpm      *exec.Cmd // swtpm
	tpmEnded <-chan error

	done  <-chan struct{} // the total limit or the caller's context
	cause func() error

	mu          sync.Mutex
	changed     chan struct{} // closed and replaced when anything below changes
	lines       []string
	size        int
	next        int // first line that no Expect has taken
	screen      *cleaner
	lastOutput  time.Time
	kernelSpoke bool
	fatal       string
	events      []Event
	ended       bool
	endError    error
	exited      chan struct{}
	runs        int
	nonce       string
	artifacts   string
}

// Start starts a machine. ctx ends it: when ctx is done, every wait fails and
// Close kills QEMU.
func Start(ctx context.Context, options Options) (*VM, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	qemu, err := program(options.QEMU)
	if err != nil {
		return nil, err
	}
	if options.Image == "" && options.Kernel == "" && len(options.Drives) == 0 && !options.NetBoot {
		return nil, fault.Errorf(fault.Usage, "nothing to boot: name an image, a kernel or a drive")
	}
	accelerator, err := accelerator(ctx, options)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ashlar-vm-") // short: a socket's name has 107 bytes
	if err != nil {
		return nil, err
	}
	v := &VM{options: options, layout: layout{dir: dir, accelerator: accelerator},
		changed: make(chan struct{}), exited: make(chan struct{}), started: time.Now(), lastOutput: time.Now()}
	v.screen = &cleaner{emit: v.line}
	if err := v.start(ctx, qemu); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func (v *VM) start(ctx context.Context, qemu string) (err error) {
	if v.options.Firmware != BIOS {
		var fresh string
		if v.layout.code, fresh, err = ovmf(v.options.Firmware); err != nil {
			return err
		}
		if v.layout.vars, err = copyVariables(fresh, v.layout.dir, v.options.Variables); err != nil {
			return err
		}
	}
	if v.options.Limit > 0 {
		ctx, v.cancel = context.WithTimeoutCause(ctx, v.options.Limit,
			fmt.Errorf("the limit of %v for the whole boot is over", v.options.Limit))
	} else {
		ctx, v.cancel = context.WithCancel(ctx)
	}
	v.done, v.cause = ctx.Done(), func() error { return context.Cause(ctx) }

	if v.options.TPM != "" {
		if err := v.startTPM(v.options.TPM); err != nil {
			return err
		}
	}
	qmp, err := net.Listen("unix", v.layout.qmp())
	if err != nil {
		return err
	}
	defer qmp.Close()
	serial, err := net.Listen("unix", v.layout.serial())
	if err != nil {
		return err
	}
	defer serial.Close()
	if err := v.launch(qemu); err != nil {
		return err
	}
	conn, err := v.accept(qmp)
	if err != nil {
		return err
	}
	if v.serial, err = v.accept(serial); err != nil {
		return err
	}
	if v.monitor, err = newMonitor(ctx, conn, v.event); err == nil {
		go v.read()
		_, err = v.monitor.execute(ctx, "cont", nil)
	}
	if err != nil {
		return v.notStarted(err)
	}
	return nil
}

// notStarted is the error of a QEMU that refused its command line: what it
// printed says more than a connection that closed.
func (v *VM) notStarted(err error) error {
	select {
	case <-v.exited:
		return fmt.Errorf("QEMU did not start: %s", v.qemuWords())
	case <-time.After(2 * time.Second):
		return err
	}
}

// launch starts QEMU. It dies with this process: the thread that starts it
// lives until QEMU has ended, and the kernel kills it when that thread goes.
func (v *VM) launch(qemu string) error {
	log, err := os.Create(filepath.Join(v.layout.dir, "qemu.log"))
	if err != nil {
		return err
	}
	v.log = log
	v.cmd = exec.Command(qemu, arguments(v.options, v.layout)...)
	v.cmd.Env = append(os.Environ(), "TMPDIR="+v.layout.dir)
	v.cmd.Stdout, v.cmd.Stderr = log, log
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	fmt.Fprintln(log, v.CommandLine())
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := v.cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		err := v.cmd.Wait()
		v.mu.Lock()
		v.ended, v.endError = true, err
		v.wake()
		v.mu.Unlock()
		close(v.exited)
	}()
	if err := <-started; err != nil {
		v.cmd = nil
		return fmt.Errorf("start QEMU: %w", err)
	}
	return nil
}

// accept waits for QEMU's connection, or for its early end.
func (v *VM) accept(l net.Listener) (net.Conn, error) {
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-v.exited:
		case <-v.done:
		case <-time.After(30 * time.Second):
		case <-stop:
			return
		}
		l.Close()
	}()
	conn, err := l.Accept()
	if err != nil {
		return nil, v.notStarted(fmt.Errorf("QEMU did not connect: %w", err))
	}
	return conn, nil
}

// qemuWords is what QEMU printed, without the command line before it.
func (v *VM) qemuWords() string {
	if v.log == nil {
		return ""
	}
	data, _ := os.ReadFile(v.log.Name())
	_, words, _ := strings.Cut(string(data), "\n")
	if words = strings.TrimSpace(words); words == "" {
		return "it said nothing"
	}
	return words
}

// read takes in the console until QEMU closes it.
func (v *VM) read() {
	buffer := make([]byte, 32<<10)
	for {
		n, err := v.serial.Read(buffer)
		if n > 0 {
			if v.options.Console != nil {
				v.options.Console.Write(buffer[:n])
			}
			v.mu.Lock()
			v.screen.Write(buffer[:n])
			if v.fatal == "" {
				v.fatal = v.fatalIn(v.screen.partial(), false)
			}
			v.lastOutput = time.Now()
			v.wake()
			v.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// line takes one finished line; the caller holds the lock.
func (v *VM) line(text string) {
	if kernelSpeaks.MatchString(text) {
		v.kernelSpoke = true
	}
	if v.fatal == "" {
		v.fatal = v.fatalIn(text, true)
	}
	if v.size += len(text) + 1; v.size > maxConsole {
		v.fatal = fmt.Sprintf("more than %d bytes on the console", maxConsole)
		return
	}
	v.lines = append(v.lines, text)
}

func (v *VM) event(e Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events = append(v.events, e)
	if e.Name == "GUEST_PANICKED" && v.fatal == "" && !v.options.Interactive {
		v.fatal = "the guest's kernel reported a panic"
	}
	v.wake()
}

// wake tells every waiter to look again; the caller holds the lock.
func (v *VM) wake() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// CommandLine is how QEMU was started, for a shell.
func (v *VM) CommandLine() string {
	words := make([]string, len(v.cmd.Args))
	for i, w := range v.cmd.Args {
		words[i] = w
		if strings.ContainsAny(w, " \t\n'\"\\$&|;<>()*?[]#~`{}") || w == "" {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// Accelerator is kvm or tcg.
func (v *VM) Accelerator() string { return v.layout.accelerator }

// Elapsed is the time since the machine was started.
func (v *VM) Elapsed() time.Duration { return time.Since(v.started) }

// Send types text on the serial console.
func (v *VM) Send(text string) error {
	v.serial.SetWriteDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(v.serial, text); err != nil {
		return fmt.Errorf("type on the console: %w", err)
	}
	return nil
}

// QMP runs a command of QEMU's machine protocol.
func (v *VM) QMP(ctx context.Context, command string, args any) (json.RawMessage, error) {
	return v.monitor.execute(ctx, command, args)
}

// Screenshot writes the screen as a PNG file.
func (v *VM) Screenshot(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	_, err = v.QMP(ctx, "screendump", map[string]string{"filename": path, "format": "png"})
	return err
}

// Console is the cleaned text of the serial console so far.
func (v *VM) Console() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(append(v.lines[:len(v.lines):len(v.lines)], v.screen.partial()), "\n")
}

// Events lists what QEMU reported so far.
func (v *VM) Events() []Event {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]Event(nil), v.events...)
}

// Wait waits until QEMU has ended and returns why: guest-shutdown,
// guest-reset, guest-panic, host-qmp-quit, or "" when QEMU did not say.
func (v *VM) Wait(ctx context.Context) (reason string, err error) {
	select {
	case <-v.exited:
	case <-v.done:
		return "", v.fail(fmt.Errorf("waiting for the machine to end: %w", v.cause()))
	case <-ctx.Done():
		return "", v.fail(fmt.Errorf("waiting for the machine to end: %w", context.Cause(ctx)))
	}
	select { // on a busy machine its last words come after its end
	case <-v.monitor.done:
	case <-v.done:
	}
	for _, e := range v.Events() {
		if e.Name == "SHUTDOWN" {
			var data struct {
				Reason string `json:"reason"`
			}
			json.Unmarshal(e.Data, &data)
			reason = data.Reason
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.endError != nil {
		return reason, fmt.Errorf("QEMU ended with %w: %s", v.endError, v.qemuWords())
	}
	return reason, nil
}

// Shutdown presses the power button and waits until the machine is off.
func (v *VM) Shutdown(ctx context.Context) error {
	if _, err := v.QMP(ctx, "system_powerdown", nil); err != nil {
		return err
	}
	_, err := v.Wait(ctx)
	return err
}

// Kill ends the machine as a power cut does: QEMU gets no chance to write what it
// holds. Close is needed all the same.
func (v *VM) Kill() {
	v.cmd.Process.Kill()
	<-v.exited
}

// Save stops the machine and writes its state, without its drives, to a file,
// from where [Resume] goes on. path has no apostrophe.
func (v *VM) Save(ctx context.Context, path string) error {
	if _, err := v.QMP(ctx, "stop", nil); err != nil {
		return err
	}
	if _, err := v.QMP(ctx, "migrate", map[string]string{"uri": "exec:cat >'" + path + "'"}); err != nil {
		return err
	}
	for {
		answer, err := v.QMP(ctx, "query-migrate", nil)
		if err != nil {
			return err
		}
		var state struct {
			Status string `json:"status"`
			Error  string `json:"error-desc"`
		}
		if err := json.Unmarshal(answer, &state); err != nil {
			return err
		}
		switch state.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("save the machine's state to %s: %s %s", path, state.Status, state.Error)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Resume starts a machine that goes on from a state of [VM.Save]. The options,
// and what is on the drives, must be those of the machine that was saved.
func Resume(ctx context.Context, path string, o Options) (*VM, error) {
	o.Extra = append(slices.Clone(o.Extra), "-incoming", "exec:cat '"+path+"'")
	v, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	for {
		var state struct {
			Status string `json:"status"`
		}
		answer, err := v.QMP(ctx, "query-status", nil)
		if err == nil {
			err = json.Unmarshal(answer, &state)
		}
		// It was stopped when it was saved, and is so again.
		if err == nil && state.Status == "paused" {
			_, err = v.QMP(ctx, "cont", nil)
			if err == nil {
				return v, nil
			}
		}
		if err != nil {
			v.Close()
			return nil, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Close ends the machine, by force if it must, and removes its files. Files of
// a failure stay. It can be called several times.
func (v *VM) Close() error {
	if v.cmd != nil && v.cmd.Process != nil {
		if v.monitor != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			v.monitor.execute(ctx, "quit", nil)
			select {
			case <-v.exited:
			case <-ctx.Done():
			}
			cancel()
		}
		v.cmd.Process.Kill() // harmless when it has ended: the pid is ours until Wait returned
		<-v.exited
	}
	if v.cancel != nil {
		v.cancel()
	}
	v.stopTPM()
	for _, c := range []io.Closer{v.serial, v.log} {
		if c != nil && c != io.Closer((*os.File)(nil)) {
			c.Close()
		}
	}
	if v.monitor != nil {
		v.monitor.conn.Close()
	}
	return os.RemoveAll(v.layout.dir)
}
