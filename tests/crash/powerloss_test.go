package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ashlar/tests/crash/powercut"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// fileSystem is one to lose power with.
type fileSystem struct {
	name    string
	make    []string
	options string // of later mounts
	size    int64
}

var fileSystems = []fileSystem{
	{"ext4", []string{"mkfs.ext4", "-q", "-F"}, "defaults", 128 << 20},
	{"ext4 data=writeback", []string{"mkfs.ext4", "-q", "-F"}, "data=writeback", 128 << 20},
	{"xfs", []string{"mkfs.xfs", "-q", "-f"}, "nouuid", 320 << 20},
}

// powerScenarios are the scenarios that this test tries; the others do nothing
// that these do not.
var powerScenarios = []string{"install", "second upgrade", "remove", "rollback", "prune"}

// TestPowerLoss runs each scenario on a disk that remembers every write and
// flush, and then looks at what that disk could hold if the power had gone at
// some moment: all that had been flushed, and a random part of what had not.
// The file system replays its journal; then the system must be old or new, and
// new if the command had ended. Seeds are fixed.
func TestPowerLoss(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loop devices and mounts need root")
	}
	b := newBench(t)
	b.publishWorld()
	points := 6 // of each scenario on each file system
	if all {
		points = 60
	}
	total := 0
	for _, f := range fileSystems {
		for _, s := range scenarios {
			for _, name := range powerScenarios {
				if s.name != name {
					continue
				}
				t.Run(f.name+"/"+s.name, func(t *testing.T) {
					p := &powerLoss{bench: &bench{t, b.pkgtool, b.dir}, fs: f, scenario: s}
					defer p.detach()
					p.record()
					total += p.cut(points)
				})
			}
		}
	}
	t.Logf("%d images", total)
}

type powerLoss struct {
	*bench
	fs       fileSystem
	scenario scenario
	disk     *powercut.Disk
	device   string // loop device on the disk
	mounted  string
	old, new string
	ended    int // events when the command had ended
}

func (p *powerLoss) host(argv ...string) string {
	p.t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// umount waits for whoever still looks at a file system, such as a sandbox made
// by somebody else at this moment.
func umount(at string) error {
	var err error
	for range 100 {
		var out []byte
		if out, err = exec.Command("umount", at).CombinedOutput(); err == nil {
			return nil
		}
		err = fmt.Errorf("umount: %w: %s", err, out)
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// syncfs writes out all that a file system has in memory.
func syncfs(at string) error {
	dir, err := os.Open(at)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}

// record prepares the scenario on a disk and runs its command there.
func (p *powerLoss) record() {
	t := p.t
	served := t.TempDir()
	p.disk = powercut.NewDisk(p.fs.size)
	check(t, p.disk.Serve(served))
	p.host(append(append([]string{}, p.fs.make...), p.disk.Path)...)
	p.device = p.host("losetup", "--find", "--show", "--direct-io=on", p.disk.Path)
	p.mounted = t.TempDir()
	p.host("mount", "-o", p.fs.options, p.device, p.mounted)
	prepared := p.root(strings.ReplaceAll(p.fs.name+"-"+p.scenario.name, " ", "-"))
	root := filepath.Join(p.mounted, "root")
	check(t, copyTree(t.Context(), prepared, root))
	for _, names := range p.scenario.prepare {
		p.run(append([]string{"--root", root, "install", "--yes"}, strings.Fields(names)...)...)
	}
	if p.scenario.edit != nil {
		check(t, p.scenario.edit(root))
	}
	var err error
	p.old, err = state(root)
	check(t, err)
	// What the administrator wrote is on the disk before anything is recorded;
	// unmounting alone would leave it to a copy of the mount in another namespace.
	check(t, syncfs(p.mounted))
	check(t, umount(p.mounted))
	p.disk.Begin()
	p.host("mount", "-o", p.fs.options, p.device, p.mounted)
	m := &matrix{bench: p.bench, scenario: p.scenario}
	p.run(m.argv(root)[1:]...)
	p.ended = p.disk.Events()
	p.new, err = state(root)
	check(t, err)
	check(t, umount(p.mounted))
	p.mounted = ""
}

// detach gives the devices back, also after a failure.
func (p *powerLoss) detach() {
	if p.mounted != "" {
		umount(p.mounted)
	}
	if p.device != "" {
		p.host("losetup", "-d", p.device)
	}
	if p.disk != nil {
		check(p.t, p.disk.Close())
	}
}

// cut looks at images: a fifth of them right after flushes, with nothing of what
// came later, the others anywhere.
func (p *powerLoss) cut(points int) int {
	flushes, events := p.disk.Flushes(), p.disk.Events()
	if p.ended < 2 || len(flushes) < 2 {
		p.t.Fatalf("the command made %d writes and flushes, %d of them flushes", p.ended, len(flushes))
	}
	random := rand.New(rand.NewPCG(1, uint64(events)))
	group, ctx := errgroup.WithContext(p.t.Context())
	group.SetLimit(runtime.NumCPU())
	for i := range points {
		n, chance := 1+random.IntN(events), []float64{0, 0.2, 0.5, 0.8, 1}[random.IntN(5)]
		if i%5 == 0 {
			n, chance = flushes[random.IntN(len(flushes))], 0
		}
		seed := random.Uint64()
		group.Go(func() error {
			if err := p.image(ctx, n, chance, seed); err != nil {
				return fmt.Errorf("%s, %s: power lost after %d of %d events (the command ended after %d), %.0f %% of the unflushed writes kept, seed %d: %w",
					p.fs.name, p.scenario.name, n, events, p.ended, chance*100, seed, err)
			}
			return nil
		})
	}
	check(p.t, group.Wait())
	return points
}

func (p *powerLoss) image(ctx context.Context, n int, chance float64, seed uint64) (err error) {
	dir, err := os.MkdirTemp(p.dir, "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, at := filepath.Join(dir, "disk"), filepath.Join(dir, "mounted")
	random := rand.New(rand.NewPCG(2, seed))
	if err := p.disk.Image(file, n, func() bool { return random.Float64() < chance }); err != nil {
		return err
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "mount", "-o", "loop,"+p.fs.options, file, at).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	defer func() {
		err = errors.Join(err, umount(at))
	}()
	root := filepath.Join(at, "root")
	if out, err := p.try("--root", root, "list"); err != nil {
		return fmt.Errorf("the next command fails: %w\n%s", err, out)
	}
	got, err := state(root)
	if err != nil {
		return err
	}
	switch {
	case got != p.old && got != p.new:
		return fmt.Errorf("neither old nor new; against new:\n%s\nagainst old:\n%s", difference(got, p.new), difference(got, p.old))
	case n >= p.ended && got != p.new:
		return errors.New("the command had ended, and the system is old")
	}
	if err := leftovers(root); err != nil {
		return err
	}
	if out, err := p.try("--root", root, "verify", "--store"); err != nil {
		return fmt.Errorf("verify: %w\n%s", err, out)
	}
	return nil
}
