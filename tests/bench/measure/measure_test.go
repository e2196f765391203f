package measure

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Watcher()
	os.Exit(m.Run())
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(c.list); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.list, got, c.want)
		}
	}
}

// TestGroupInterleaves runs real programs that write down their turn.
func TestGroupInterleaves(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	note := func(name string) []string { return []string{"sh", "-c", "echo " + name + " >>" + log} }
	var prepared int
	results, err := Group(context.Background(), "demo", 3, []Case{
		{Name: "floor", Floor: true, Args: []string{"sh", "-c", "echo floor >>" + log + "; sleep 0.05"}},
		{Name: "twice", Args: note("twice"), Rounds: 2, Prepare: func(context.Context) error { prepared++; return nil }},
		{Name: "wrong", Args: []string{"sh", "-c", "echo bad news >&2; exit 3"}},
		{Name: "exit 3 is fine", Args: []string{"sh", "-c", "exit 3"}, Exit: []int{3}},
		{Name: "bad outcome", Args: []string{"echo", "text"}, Check: func(out []byte) error { return errors.New("not " + string(out)) }},
	}, func(string, ...any) {})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(log)
	if want := "floor\ntwice\nfloor\ntwice\nfloor\n"; err != nil || string(text) != want {
		t.Errorf("the order was %q, want %q (%v)", text, want, err)
	}
	for i, runs := range []int{3, 2, 0, 3, 0} {
		if got := len(results[i].Seconds); got != runs {
			t.Errorf("%s has %d times, want %d", results[i].Name, got, runs)
		}
	}
	if floor := results[0]; floor.Ratio != 1 || floor.Median < 0.05 || floor.Memory == 0 {
		t.Errorf("the floor is %+v", floor)
	}
	if prepared != 2 {
		t.Errorf("prepared %d times, want 2", prepared)
	}
	if p := results[2].Problem; !strings.Contains(p, "ended with 3: bad news") {
		t.Errorf("the failure is told as %q", p)
	}
	if p := results[4].Problem; !strings.Contains(p, "wrong outcome: not text") {
		t.Errorf("the wrong outcome is told as %q", p)
	}
	var out bytes.Buffer
	report := Report{Results: results, Facts: []Fact{{"facts", "bytes", "12", "10"}}}
	report.Write(&out)
	for _, want := range []string{"demo\n", "1.000", "wrong: not measured: sh ended with 3", "bytes: 12  (goal: 10)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

func TestGroupNeedsItsFloor(t *testing.T) {
	_, err := Group(context.Background(), "demo", 1, []Case{{Name: "floor", Floor: true, Args: []string{"false"}}}, func(string, ...any) {})
	if err == nil {
		t.Error("a floor that fails passed")
	}
}

// TestMemoryIsTheProgramsOwn holds far more than the program that is started.
func TestMemoryIsTheProgramsOwn(t *testing.T) {
	ballast := bytes.Repeat([]byte{1}, 256<<20)
	results, err := Group(context.Background(), "demo", 1, []Case{{Name: "small", Args: []string{"true"}}}, func(string, ...any) {})
	if err != nil {
		t.Fatal(err)
	}
	if got := results[0].Memory; got > 64<<20 {
		t.Errorf("true held %d MiB; this test holds %d", got>>20, len(ballast)>>20)
	}
}

// TestInterruptEndsPrograms checks that a cancelled benchmark leaves nothing behind.
func TestInterruptEndsPrograms(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := Group(ctx, "demo", 1, []Case{{Name: "long", Args: []string{"sleep", "60"}}}, func(string, ...any) {})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}
