package buildkit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/sandbox"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

func testFarm(t *testing.T, slots ...int) *Farm {
	t.Helper()
	o := Options{Cache: t.TempDir()}
	for i, n := range slots {
		o.Daemons = append(o.Daemons, Daemon{Address: fmt.Sprintf("unix:///run/%d", i), Slots: n})
	}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestPlacesStay: when a daemon goes, only its recipes move; and each daemon gets
// its share.
func TestPlacesStay(t *testing.T) {
	all := testFarm(t, 1, 1, 1, 1).daemons
	count := map[*daemon]int{}
	for i := range 1000 {
		recipe := fmt.Sprint("recipe", i)
		first := ranked(all, recipe)
		count[first[0]]++
		without := ranked(all[1:], recipe)
		if first[0] != all[0] && without[0] != first[0] {
			t.Fatalf("%s moves from %s to %s though %s went", recipe, first[0].Address, without[0].Address, all[0].Address)
		}
	}
	for d, n := range count {
		if n < 200 || n > 300 {
			t.Errorf("%s has %d recipes of 1000", d.Address, n)
		}
	}
}

func TestSlots(t *testing.T) {
	f := testFarm(t, 1, 2)
	if f.Slots() != 3 {
		t.Fatal(f.Slots())
	}
	got := map[*daemon]int{}
	var last *daemon
	for range 3 {
		d, err := f.acquire(t.Context(), "r", nil)
		if err != nil {
			t.Fatal(err)
		}
		got[d]++
		last = d
	}
	if got[f.daemons[0]] != 1 || got[f.daemons[1]] != 2 {
		t.Error(got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if d, err := f.acquire(ctx, "r", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(d, err)
	}
	next := make(chan *daemon)
	go func() {
		d, _ := f.acquire(t.Context(), "r", nil)
		next <- d
	}()
	f.release(last, nil)
	if d := <-next; d != last {
		t.Error("another slot than the free one")
	}
}

// TestPauses: a daemon that failed gets a pause, and each work tries it twice.
func TestPauses(t *testing.T) {
	f := testFarm(t, 1, 1)
	tries := map[*daemon]int{}
	first, _ := f.acquire(t.Context(), "r", tries)
	tries[first]++
	f.release(first, &lostError{errors.New("gone")})
	second, _ := f.acquire(t.Context(), "r", tries)
	if second == first {
		t.Fatal("the same daemon again at once")
	}
	tries[second]++
	f.release(second, &lostError{errors.New("gone")})
	start := time.Now()
	third, err := f.acquire(t.Context(), "r", tries)
	if third != first || err != nil || time.Since(start) < firstPause/2 {
		t.Error(third, err, time.Since(start))
	}
	f.release(third, &lostError{errors.New("gone")})
	if pause := time.Until(first.until); pause < 2*firstPause-time.Second || pause > 2*firstPause {
		t.Error(pause)
	}
	tries[first], tries[second] = triesEach, triesEach
	if d, err := f.acquire(t.Context(), "r", tries); d != nil || err != nil {
		t.Error(d, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"tcp://host":               "is no address",
		"host:1234":                "is no address",
		"http://host:80":           "is no address",
		"unix://":                  "is no address",
		"tcp://h:1,slots=0":        "a number from 1",
		"tcp://h:1,slots":          "a number from 1",
		"tcp://h:1,cores=2":        `no "cores"`,
		"tcp://h:1,slots=2,jobs=8": "",
		"unix:///run/b.sock":       "",
	} {
		d, err := ParseDaemon(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %+v, %v", text, d, err)
		}
	}
	remote, near := Daemon{Address: "tcp://builder.example:1"}, Daemon{Address: "tcp://127.0.0.1:1"}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "needs a daemon"},
		{Options{Daemons: []Daemon{remote}}, "on another machine"},
		{Options{Daemons: []Daemon{near, near}}, "named twice"},
		{Options{Daemons: []Daemon{near}, TLS: TLS{Cert: "x"}}, "belong together"},
		{Options{Daemons: []Daemon{remote}, TLS: TLS{CA: "/absent"}}, "no such file"},
		{Options{Daemons: []Daemon{near}}, ""},
	} {
		c.o.Cache = t.TempDir()
		if _, err := New(c.o); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}

// TestJobsOfTheDaemon gives a work as many jobs as the daemon has cores for.
func TestJobsOfTheDaemon(t *testing.T) {
	p := &parcel{work: &build.Work{}}
	p.order.Commands = append(p.order.Commands, command("JOBS=2", "A=b"), command("JOBS=1"))
	own := p.on(Daemon{Jobs: 16})
	if got := own.order.Commands[0].Env[0] + own.order.Commands[1].Env[0] + p.order.Commands[0].Env[0]; got != "JOBS=16JOBS=1JOBS=2" {
		t.Error(got)
	}
}

// TestOnlyReading: a daemon may read blobs of a work, and nothing else.
func TestOnlyReading(t *testing.T) {
	s := store(t.TempDir())
	d, err := s.putJSON("hello")
	if err != nil {
		t.Fatal(err)
	}
	p := provider{store(t.TempDir()), s}
	r, err := p.ReaderAt(t.Context(), ocispecs.Descriptor{Digest: d.Digest})
	if err != nil || r.Size() != d.Size {
		t.Fatal(err)
	}
	r.Close()
	for _, wrong := range []digest.Digest{"sha256:../../etc/passwd", "md5:1", "", digest.FromString("absent")} {
		if _, err := p.ReaderAt(t.Context(), ocispecs.Descriptor{Digest: wrong}); err == nil {
			t.Errorf("%q is there", wrong)
		}
	}
	if _, err := p.Writer(t.Context()); !errdefs.IsPermissionDenied(err) {
		t.Error(err)
	}
	if err := p.Delete(t.Context(), d.Digest); !errdefs.IsPermissionDenied(err) {
		t.Error(err)
	}
}

// TestUnusedLayersGo drops what nothing used for long, and packs what is missing
// again.
func TestUnusedLayersGo(t *testing.T) {
	l, err := openLayers(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	layer := build.Layer{Name: "base", Digest: "1", Dir: t.TempDir()}
	image, err := l.image(layer)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.dropUnused(time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := l.use(image); err != nil {
		t.Error("dropped though used: ", err)
	}
	if err := l.dropUnused(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if l.use(image) == nil {
		t.Error("not dropped")
	}
	if again, err := l.image(layer); err != nil || again != image || l.use(image) != nil {
		t.Error(again, err)
	}
}

func command(env ...string) sandbox.Command { return sandbox.Command{Env: env} }
