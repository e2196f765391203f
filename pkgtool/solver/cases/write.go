package cases

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/version"
)

// Write writes a case into a folder, which is made if it is missing: case.json,
// and universe.jsonl beside it. It returns the path of case.json. The case gives
// the answer that the solver gives to the request over these packages.
func Write(dir string, packages []*solver.Package, request solver.Request) (path string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := writeUniverse(filepath.Join(dir, "universe.jsonl"), packages); err != nil {
		return "", err
	}
	recommends := !request.NoRecommends
	text, err := encode(file{
		Format: 1, Universe: "universe.jsonl", Arch: request.Arch, Repos: repositories(packages),
		Install: texts(request.Install), Remove: request.Remove, Upgrade: upgrade{request.Upgrade, request.UpgradeAll},
		Downgrade: request.Downgrade, Reinstall: request.Reinstall, Hold: request.Hold, Pin: texts(request.Pins),
		AllowVendorChange: request.AllowVendorChange, Recommends: &recommends,
	}, "  ")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "case.json")
	return path, os.WriteFile(path, text, 0o644)
}

func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return b.Bytes(), err
}

// repositories lists repositories with the priority that their packages have.
func repositories(packages []*solver.Package) []repo {
	var list []repo
	seen := map[string]bool{}
	for _, p := range packages {
		if p.Repo != "" && !p.Installed && !seen[p.Repo] {
			seen[p.Repo] = true
			list = append(list, repo{p.Repo, &p.Priority})
		}
	}
	slices.SortFunc(list, func(a, b repo) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// writeUniverse writes packages, one per line. The lines are sorted, so that the
// same universe always gives the same file.
func writeUniverse(path string, packages []*solver.Package) error {
	of := map[string]int{}
	for _, r := range repositories(packages) {
		of[r.Name] = *r.Priority
	}
	lines := make([][]byte, 0, len(packages))
	for _, p := range packages {
		text, err := encode(lineOfPackage(p, of), "")
		if err != nil {
			return fmt.Errorf("package %s: %w", p, err)
		}
		lines = append(lines, text)
	}
	slices.SortFunc(lines, bytes.Compare)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, text := range lines {
		w.Write(text) // a failure shows at Flush
	}
	return cmp.Or(w.Flush(), f.Close())
}

func lineOfPackage(p *solver.Package, priority map[string]int) line {
	l := line{
		Name: p.Name, Version: number(p.Version.Semver.String()), Release: number(strconv.FormatUint(uint64(p.Version.Release), 10)),
		Arch: p.Arch, Repo: p.Repo, Vendor: p.Vendor, ID: p.ID, InstallOnly: p.InstallOnly, Installed: p.Installed,
		Requires: texts(p.Requires), Conflicts: texts(p.Conflicts), Replaces: texts(p.Replaces),
		Recommends: texts(p.Recommends), Supplements: texts(p.Supplements),
	}
	if p.Version.Epoch > 0 {
		l.Epoch = number(strconv.FormatUint(uint64(p.Version.Epoch), 10))
	}
	if p.Requested {
		l.Reason = "requested"
	}
	stated, listed := priority[p.Repo]
	if !listed {
		stated = DefaultPriority
	}
	if stated != p.Priority {
		l.Priority = &p.Priority
	}
	for _, provide := range p.Provides {
		l.Provides = append(l.Provides, provide.String())
	}
	return l
}

func texts(list []version.Dependency) []string {
	var all []string
	for _, d := range list {
		all = append(all, d.String())
	}
	return all
}
