package killat

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// callInfo is struct ptrace_syscall_info of the kernel, as far as entries need it.
type callInfo struct {
	op   uint8 // 1 entry, 2 exit
	_    [3]byte
	arch uint32
	_    [2]uint64 // instruction and stack pointers
	nr   uint64
	args [6]uint64
}

const (
	getCallInfo = 0x420e // PTRACE_GET_SYSCALL_INFO
	opEntry     = 1
	opExit      = 2

	callStop = unix.SIGTRAP | 0x80
)

// trace runs a program in the calling process, which must have no other child.
func trace(run Run) (*Result, error) {
	runtime.LockOSThread() // only the thread that began may trace
	output, err := os.CreateTemp("", "killat-")
	if err != nil {
		return nil, err
	}
	defer output.Close()
	if err := os.Remove(output.Name()); err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	pid, err := syscall.ForkExec(run.Argv[0], run.Argv, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{null.Fd(), output.Fd(), output.Fd()}, Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	if err != nil {
		return nil, err
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, unix.WALL, nil); err != nil {
		return nil, err
	}
	options := unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC |
		unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		return nil, err
	}
	t := &tracer{run: run, main: pid, result: &Result{}, within: map[int]string{}, seen: map[int]bool{pid: true}}
	if err := unix.PtraceSyscall(pid, 0); err != nil {
		return nil, err
	}
	if err := t.loop(); err != nil {
		return nil, err
	}
	if _, err := output.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(output, 1<<20))
	t.result.Output = string(text)
	return t.result, err
}

type tracer struct {
	run    Run
	main   int
	result *Result
	within map[int]string // by thread: the changing call that it is in, the one to kill after
	seen   map[int]bool
}

// loop follows all threads and children until none is left.
func (t *tracer) loop() error {
	for {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ECHILD) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case ws.Exited() || ws.Signaled():
			if tid == t.main && ws.Exited() {
				t.result.Code = ws.ExitStatus()
			}
			continue
		case !ws.Stopped():
			continue
		}
		deliver := 0
		switch sig := ws.StopSignal(); {
		case sig == callStop:
			if err := t.call(tid); err != nil {
				return err
			}
		case sig == unix.SIGTRAP && ws.TrapCause() > 0: // a new thread, child or program
		case sig == unix.SIGSTOP && !t.seen[tid]: // how a new thread begins
		default:
			deliver = int(sig)
		}
		t.seen[tid] = true
		if err := unix.PtraceSyscall(tid, deliver); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("go on with %d: %w", tid, err)
		}
	}
}

// call is told of every entry to and exit from a system call.
func (t *tracer) call(tid int) error {
	var info callInfo
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, getCallInfo, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno == unix.ESRCH || t.result.Killed != "" {
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("read the call of %d: %w", tid, errno)
	}
	if info.op == opExit {
		name := t.within[tid]
		if name == "" {
			return nil
		}
		if t.run.Fail != 0 {
			delete(t.within, tid)
			return t.fail(tid)
		}
		return t.kill("after " + name)
	}
	name := ""
	if info.op == opEntry {
		name = changes(info.nr, info.args)
	}
	if name == "" {
		return nil
	}
	t.result.Calls++
	again := t.run.Forever && t.result.Failed == name
	if t.result.Calls != t.run.At && !again {
		return nil
	}
	if t.run.Fail != 0 {
		t.result.Failed = name
		t.within[tid] = name
		return t.skip(tid)
	}
	if t.run.Exit {
		t.within[tid] = name
		return nil
	}
	return t.kill("before " + name)
}

// skip lets a thread make no call in place of the one that it has entered.
func (t *tracer) skip(tid int) error {
	return t.registers(tid, func(r *unix.PtraceRegs) { r.Orig_rax = ^uint64(0) })
}

// fail gives a thread the error as the result of its call.
func (t *tracer) fail(tid int) error {
	return t.registers(tid, func(r *unix.PtraceRegs) { r.Rax = uint64(-int64(t.run.Fail)) })
}

func (t *tracer) registers(tid int, change func(*unix.PtraceRegs)) error {
	var regs unix.PtraceRegs
	err := unix.PtraceGetRegs(tid, &regs)
	if err == nil {
		change(&regs)
		err = unix.PtraceSetRegs(tid, &regs)
	}
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// kill ends the program and all that it started.
func (t *tracer) kill(where string) error {
	t.result.Killed = where
	for tid := range t.seen {
		if err := unix.Kill(tid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}
