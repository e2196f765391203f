package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run of the benchmarks found out.
type Report struct {
	Schema  int               `json:"schema"` // 1
	Time    time.Time         `json:"time"`
	Machine Machine           `json:"machine"`
	Tools   map[string]string `json:"tools"` // versions of the programs compared
	Data    map[string]any    `json:"data"`  // what was measured with
	Results []Result          `json:"results"`
	Facts   []Fact            `json:"facts"` // what is not a time
}

// Machine is where the times were taken; they say nothing about another one.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	Load   string `json:"load"` // of the minute before, at the start
}

// Fact is a figure or a verdict that is not a time.
type Fact struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	Value string `json:"value"`
	Goal  string `json:"goal,omitempty"`
}

// ThisMachine describes the machine.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU()}
	m.CPU = after("/proc/cpuinfo", "model name")
	m.Memory = after("/proc/meminfo", "MemTotal")
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(text), " ")
	}
	return m
}

// after returns what follows the key and a colon in a file of /proc.
func after(file, key string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Write prints the results as one table.
func (r *Report) Write(w io.Writer) {
	fmt.Fprintf(w, "%s, %d cores, %s, Linux %s, load %s\n", r.Machine.CPU, r.Machine.Cores, r.Machine.Memory, r.Machine.Kernel, r.Machine.Load)
	group := ""
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { fmt.Fprintln(table, strings.Join(cells, "\t")+"\t") }
	for _, res := range r.Results {
		if res.Group != group {
			group = res.Group
			table.Flush()
			fmt.Fprintf(w, "\n%s\n", group)
			row("", "seconds", "x floor", "min", "max", "flush", "cpu", "MiB", "goal")
		}
		if res.Problem != "" {
			table.Flush()
			fmt.Fprintf(w, "  %s: not measured: %s\n", res.Name, firstLine(res.Problem))
			continue
		}
		row(res.Name, seconds(res.Median), ratio(res.Ratio), seconds(slices.Min(res.Seconds)), seconds(slices.Max(res.Seconds)),
			ratio(res.Flush), ratio(res.CPU), fmt.Sprintf("%.0f", float64(res.Memory)/(1<<20)), res.Goal)
	}
	table.Flush()
	group = ""
	for _, f := range r.Facts {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(w, "\n%s\n", group)
		}
		goal := ""
		if f.Goal != "" {
			goal = "  (goal: " + f.Goal + ")"
		}
		fmt.Fprintf(w, "  %s: %s%s\n", f.Name, f.Value, goal)
	}
}

func seconds(s float64) string { return fmt.Sprintf("%.4f", s) }

func ratio(r float64) string {
	if r == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", r)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// Save writes the report as JSON, making folders on the way.
func (r *Report) Save(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
