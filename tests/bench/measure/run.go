package measure

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Case is one program call to be timed.
type Case struct {
	Name    string
	Floor   bool                        // the others of the group are given as multiples of it
	Goal    string                      // what is wanted of it, for the table
	Prepare func(context.Context) error // before each run, not timed; may be nil
	Args    []string                    // the program and its arguments
	Env     []string                    // in addition to the caller's environment
	Flush   string                      // a folder whose file system is flushed within the time; "" does not flush
	Check   func(stdout []byte) error   // after each run, not timed; may be nil
	Exit    []int                       // exit codes besides 0 that are fine
	Rounds  int                         // if not all of the group's; the first ones
}

// Result is what came of a case.
type Result struct {
	Group   string    `json:"group"`
	Name    string    `json:"name"`
	Seconds []float64 `json:"seconds"`         // of every run, flush included
	Median  float64   `json:"median"`          // of Seconds
	Flush   float64   `json:"flush,omitempty"` // median of the part after the program had ended
	CPU     float64   `json:"cpu"`             // median of user and system seconds
	Memory  int64     `json:"memory"`          // most bytes that the program or a child of it held, in any run
	Ratio   float64   `json:"ratio,omitempty"` // of Median to the floor's
	Goal    string    `json:"goal,omitempty"`
	Problem string    `json:"problem,omitempty"` // why there are no times
	Floor   bool      `json:"floor,omitempty"`
}

// Group runs cases interleaved. A case that fails keeps its problem in its
// result and is not run again; the error is for the floor, without which the
// others say nothing, and for a context that has ended.
func Group(ctx context.Context, name string, rounds int, cases []Case, say func(format string, args ...any)) ([]Result, error) {
	results := make([]Result, len(cases))
	flushes, cpus := make([][]float64, len(cases)), make([][]float64, len(cases))
	for i, c := range cases {
		results[i] = Result{Group: name, Name: c.Name, Goal: c.Goal, Floor: c.Floor}
	}
	for round := range rounds {
		for i, c := range cases {
			if results[i].Problem != "" || c.Rounds > 0 && round >= c.Rounds {
				continue
			}
			r, err := once(ctx, c)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				say("%s: %s: %v", name, c.Name, err)
				results[i].Problem = err.Error()
				if c.Floor {
					return nil, fmt.Errorf("%s: %s: %w", name, c.Name, err)
				}
				continue
			}
			say("%s: %s: %.3f s", name, c.Name, r.total)
			results[i].Seconds = append(results[i].Seconds, r.total)
			results[i].Memory = max(results[i].Memory, r.memory)
			flushes[i], cpus[i] = append(flushes[i], r.flush), append(cpus[i], r.cpu)
		}
	}
	floor := 0.0
	for i := range results {
		r := &results[i]
		r.Median, r.Flush, r.CPU = median(r.Seconds), median(flushes[i]), median(cpus[i])
		if r.Floor {
			floor = r.Median
		}
	}
	for i := range results {
		if floor > 0 {
			results[i].Ratio = results[i].Median / floor
		}
	}
	return results, nil
}

// run is one run of a case.
type run struct {
	total, flush, cpu float64 // seconds
	memory            int64   // bytes
}

func once(ctx context.Context, c Case) (run, error) {
	if c.Prepare != nil {
		if err := c.Prepare(ctx); err != nil {
			return run{}, fmt.Errorf("prepare: %w", err)
		}
	}
	if c.Flush != "" {
		// What was prepared is not to be flushed at the program's expense.
		if err := flush(c.Flush); err != nil {
			return run{}, err
		}
	}
	r, stdout, err := watch(ctx, c)
	if err != nil {
		return run{}, err
	}
	if c.Check != nil {
		if err := c.Check(stdout); err != nil {
			return run{}, fmt.Errorf("wrong outcome: %w", err)
		}
	}
	return r, nil
}

// median is 0 for an empty list.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// flush brings the file system of a folder to the disk.
func flush(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := unix.Syncfs(int(folder.Fd())); err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	return nil
}
