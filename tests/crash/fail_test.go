package crash

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"ashlar/tests/crash/killat"

	"golang.org/x/sync/errgroup"
)

// injected are the errors that calls are made to fail with.
var injected = []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EROFS, syscall.EMFILE}

// TestErrorsAnywhere lets system calls that change something fail, one at a time
// and all of one kind from some moment on. Whatever pkgtool makes of it: the
// system is old or new, new if it said so, and the same command then succeeds.
func TestErrorsAnywhere(t *testing.T) {
	b := newBench(t)
	b.publishWorld()
	points := 0
	for _, s := range scenarios {
		if s.name != "second upgrade" && s.name != "rollback" && s.name != "install" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			m := &matrix{bench: &bench{t, b.pkgtool, b.dir}, scenario: s}
			m.prepare()
			points += m.failAll()
		})
	}
	t.Logf("%d points", points)
}

func (m *matrix) failAll() (tried int) {
	step := max(1, m.calls/8)
	if all {
		step = 2
	}
	group, ctx := errgroup.WithContext(m.t.Context())
	group.SetLimit(runtime.NumCPU())
	for n := 1; n <= m.calls; n += step {
		run := killat.Run{At: n, Fail: injected[tried%len(injected)], Forever: tried%3 == 2}
		tried++
		group.Go(func() error { return m.failure(ctx, run) })
	}
	check(m.t, group.Wait())
	return tried
}

func (m *matrix) failure(ctx context.Context, run killat.Run) error {
	root := fmt.Sprintf("%s-fail-%d", m.from, run.At)
	defer os.RemoveAll(root)
	if err := copyTree(ctx, m.from, root); err != nil {
		return err
	}
	run.Argv = m.argv(root)
	r, err := killat.Start(ctx, run)
	if err != nil {
		return err
	}
	where := fmt.Sprintf("%s, %v of %s (call %d, for ever %v; exit code %d)\n%s\n", m.scenario.name, run.Fail, r.Failed, run.At, run.Forever, r.Code, r.Output)
	if strings.Contains(r.Output, "panic:") || strings.Contains(r.Output, "fatal error:") {
		return fmt.Errorf("%s: panic", where)
	}
	return m.judge(ctx, root, where, r.Code == 0)
}

// TestDiskFull fills the disk so that a share of what an installation needs is
// left, in steps of a tenth: it is refused or it fails, and the system is old;
// with room again the same command succeeds.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	b := newBench(t)
	b.publishWorld()
	s := scenarios[0]
	m := &matrix{bench: b, scenario: s}
	m.prepare()
	need := diskUsage(t, m.from+"-new") - diskUsage(t, m.from)
	for tenth := range 10 {
		at := t.TempDir()
		free := need * int64(tenth) / 10
		if out, err := hostCommand("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", 4*need), "tmpfs", at); err != nil {
			t.Fatalf("mount: %v\n%s", err, out)
		}
		defer umount(at)
		root := filepath.Join(at, "root")
		check(t, copyTree(t.Context(), m.from, root))
		ballast := filepath.Join(at, "ballast")
		var st syscall.Statfs_t
		check(t, syscall.Statfs(at, &st))
		check(t, os.WriteFile(ballast, make([]byte, int64(st.Bavail)*st.Bsize-free), 0o644))
		out, err := b.try(m.argv(root)[1:]...)
		if err == nil {
			t.Errorf("with %d of %d bytes free the installation succeeded", free, need)
		}
		if !strings.Contains(out, "make room first") {
			t.Errorf("with %d of %d bytes free the message does not say so:\n%s", free, need, out)
		}
		check(t, os.Remove(ballast))
		check(t, m.judge(t.Context(), root, fmt.Sprintf("with %d of %d bytes free", free, need), false))
		check(t, umount(at))
	}
}

func diskUsage(t *testing.T, root string) int64 {
	t.Helper()
	out, err := hostCommand("du", "-s", "-B1", root)
	check(t, err)
	var n int64
	_, err = fmt.Sscan(out, &n)
	check(t, err)
	return n
}
