package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"ashlar/pkgtool/install"
	"ashlar/pkgtool/system"
)

// messages is where a plan is shown that will be carried out.
func (a *App) messages() io.Writer {
	if a.Quiet {
		return io.Discard
	}
	return a.Err
}

func showPlan(w io.Writer, plan *install.Plan) {
	if plan.Empty() {
		fmt.Fprintln(w, "nothing to do")
	}
	for _, s := range plan.Steps {
		versions, from, size, vendor := s.Version, "", "", ""
		if s.From != "" {
			versions = s.From + " -> " + s.Version
		}
		if s.Repo != "" {
			from = s.Repo + ", "
		}
		if s.Do != "remove" && s.Download > 0 {
			size = ", " + amount(s.Download)
		}
		if s.Vendor != s.OfVendor {
			vendor = fmt.Sprintf("; vendor %s -> %s", vendorName(s.OfVendor), vendorName(s.Vendor))
		}
		fmt.Fprintf(w, "%-9s %s %s  (%s%s%s%s)\n", s.Do, s.Name, versions, from, printable(s.Why), size, vendor)
	}
	showMarks(w, plan)
	for _, h := range plan.Held {
		fmt.Fprintf(w, "held back %s %s: %s\n", h.Name, h.Version, printable(h.Why))
	}
	showConsequences(w, plan)
}

func vendorName(vendor string) string {
	if vendor == "" {
		return "none"
	}
	return printable(vendor)
}

func showMarks(w io.Writer, plan *install.Plan) {
	if len(plan.Explicit) > 0 {
		fmt.Fprintf(w, "asked for from now on: %s\n", strings.Join(plan.Explicit, ", "))
	}
	if len(plan.Automatic) > 0 {
		fmt.Fprintf(w, "no longer asked for: %s\n", strings.Join(plan.Automatic, ", "))
	}
}

// showConsequences tells what a plan means besides packages that come and go.
func showConsequences(w io.Writer, plan *install.Plan) {
	for _, running := range plan.Protected {
		fmt.Fprintf(w, "%s is the running kernel: without it no driver can be loaded until the next boot\n", running)
	}
	for _, note := range plan.Config {
		fmt.Fprintln(w, configNoteText(note))
	}
	for _, path := range plan.Carried {
		fmt.Fprintf(w, "/%s belongs to no package and stays\n", printable(path))
	}
	for _, path := range plan.Saved {
		fmt.Fprintf(w, "/%s was changed by hand; a copy is kept in /.ashlar/saved\n", printable(path))
	}
	if len(plan.Triggers) > 0 {
		fmt.Fprintf(w, "triggers: %s\n", printable(strings.Join(plan.Triggers, ", ")))
	}
	if len(plan.Steps) == 0 {
		return
	}
	if plan.InPlace {
		fmt.Fprintln(w, "/usr cannot be exchanged here: its files change one after the other")
	}
	for _, s := range plan.Space {
		fmt.Fprintf(w, "space on %s: %s needed, %s free\n", printable(s.Path), amount(s.Need), amount(s.Free))
	}
	if plan.Packages > 0 {
		fmt.Fprintf(w, "to download %s of %s\n", amount(plan.Download), amount(plan.Packages))
	}
	fmt.Fprintf(w, "installed size %s\n", difference(plan.DiskChange))
}

func showDone(w io.Writer, plan *install.Plan, generation int) {
	counts := map[string]int{}
	for _, s := range plan.Steps {
		counts[s.Do]++
	}
	var parts []string
	for _, verb := range []struct{ do, done string }{{"install", "installed"}, {"upgrade", "upgraded"}, {"downgrade", "downgraded"}, {"reinstall", "reinstalled"}, {"remove", "removed"}} {
		if n := counts[verb.do]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, verb.done))
		}
	}
	if len(parts) == 0 {
		parts = []string{"noted what you asked for"}
	}
	fmt.Fprintf(w, "%s; this is generation %d\n", strings.Join(parts, ", "), generation)
	for _, note := range plan.Config {
		fmt.Fprintln(w, configNoteText(note))
	}
}

func showTiming(w io.Writer, phases []install.Phase) {
	var total time.Duration
	for _, p := range phases {
		fmt.Fprintf(w, "%-10s %9.1f ms\n", p.Name, float64(p.Took)/1e6)
		total += p.Took
	}
	fmt.Fprintf(w, "%-10s %9.1f ms\n", "together", float64(total)/1e6)
}

// configNoteText says in one line what happens to an edited configuration file.
func configNoteText(n system.ConfigNote) string {
	file := printable(n.Path)
	switch {
	case n.Merged:
		return fmt.Sprintf("merged the package's changes into your edited %s", file)
	case n.Merge:
		return fmt.Sprintf("you and the package changed %s; the changes are merged where they do not meet", file)
	case n.Kept || n.New == "":
		return fmt.Sprintf("kept your edited %s", file)
	default:
		return fmt.Sprintf("kept your edited %s; the package's version is %s", file, printable(n.New))
	}
}

// amount words a number of bytes.
func amount(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}

func difference(n int64) string {
	if n < 0 {
		return "-" + amount(-n)
	}
	return "+" + amount(n)
}
