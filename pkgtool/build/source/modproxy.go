package source

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/sync/errgroup"

	"ashlar/pkgtool/fault"
)

// Transfers is how many files are fetched at the same time.
const Transfers = 6

// maxSumFile bounds a go.sum file, in bytes.
const maxSumFile = 16 << 20

// moduleSums is what a go.sum says about one module version.
type moduleSums struct {
	path, version string
	zip, mod      string // h1 sums; zip is "" where only go.mod is needed, mod where go never reads that
}

// GoModules lists the files of every module that a go.sum file names.
func GoModules(goSumPath string) ([]Source, error) {
	modules, err := readGoSum(goSumPath)
	if err != nil {
		return nil, err
	}
	var all []Source
	for _, m := range modules {
		for _, file := range m.files() {
			all = append(all, file.source)
		}
	}
	return all, nil
}

// moduleFile is one pinned file of a module, and how its name ends in a proxy.
type moduleFile struct {
	source Source
	suffix string
}

func (m moduleSums) files() []moduleFile {
	uri := "gomod://" + m.path + "@" + m.version
	files := []moduleFile{{Source{URIs: []string{uri + "#go.mod"}, H1: m.mod}, ".mod"}, {Source{URIs: []string{uri}, H1: m.zip}, ".zip"}}
	return slices.DeleteFunc(files, func(f moduleFile) bool { return f.source.H1 == "" })
}

// GoModuleProxy makes dest a folder that serves as GOPROXY=file://dest for
// every module of the go.sum file, each fetched through fetcher and checked
// against its h1 sums. With GOSUMDB=off a build then needs no network. Files
// are hard links into the cache where the file system allows, so dest must not
// be written to. progress may be nil; it can be called from several goroutines.
func GoModuleProxy(ctx context.Context, goSumPath, dest string, fetcher *Fetcher, progress Progress) error {
	modules, err := readGoSum(goSumPath)
	if err != nil {
		return err
	}
	versions := map[string][]string{}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(Transfers)
	for _, m := range modules {
		path, err := module.EscapePath(m.path)
		if err != nil {
			return fault.Mark(fmt.Errorf("%s: %w", goSumPath, err), fault.Usage, "")
		}
		dir := filepath.Join(dest, filepath.FromSlash(path), "@v")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		versions[dir] = append(versions[dir], m.version)
		group.Go(func() error { return placeModule(groupCtx, m, dir, fetcher, progress) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for dir, list := range versions {
		semver.Sort(list)
		if err := os.WriteFile(filepath.Join(dir, "list"), []byte(strings.Join(list, "\n")+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func placeModule(ctx context.Context, m moduleSums, dir string, fetcher *Fetcher, progress Progress) error {
	version, err := module.EscapeVersion(m.version)
	if err != nil {
		return fault.Mark(err, fault.Usage, "")
	}
	for _, file := range m.files() {
		cached, err := fetcher.Fetch(ctx, file.source, progress)
		if err != nil {
			return err
		}
		if err := placeFile(cached, filepath.Join(dir, version+file.suffix)); err != nil {
			return err
		}
	}
	if m.mod == "" {
		if err := placeOwnMod(m, filepath.Join(dir, version)); err != nil {
			return err
		}
	}
	info, err := json.Marshal(map[string]string{"Version": m.version})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, version+".info"), info, 0o644)
}

// maxMod bounds a go.mod file, in bytes.
const maxMod = 16 << 20

// placeOwnMod writes the go.mod file that is in a module's verified archive
// beside it, as proxies do.
func placeOwnMod(m moduleSums, base string) error {
	archive, err := zip.OpenReader(base + ".zip")
	if err != nil {
		return fmt.Errorf("%s@%s: %w", m.path, m.version, err)
	}
	defer archive.Close()
	text := []byte("module " + m.path + "\n") // of a module without one
	if f, err := archive.Open(m.path + "@" + m.version + "/go.mod"); err == nil {
		text, err = io.ReadAll(io.LimitReader(f, maxMod))
		f.Close()
		if err != nil {
			return fmt.Errorf("%s@%s: %w", m.path, m.version, err)
		}
	}
	return os.WriteFile(base+".mod", text, 0o644)
}

func placeFile(from, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

func readGoSum(path string) ([]moduleSums, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSumFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSumFile {
		return nil, fault.Errorf(fault.Usage, "%s: larger than %d bytes", path, maxSumFile)
	}
	modules, err := parseGoSum(data)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("%s: %w", path, err), fault.Usage, "go mod tidy writes it anew")
	}
	return modules, nil
}

// parseGoSum reads go.sum, sorted by path and version.
func parseGoSum(data []byte) ([]moduleSums, error) {
	all := map[module.Version]*moduleSums{}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	for line := 1; scanner.Scan(); line++ {
		fields := strings.Fields(scanner.Text())
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %d: not module, version and sum", line)
		}
		version, isMod := strings.CutSuffix(fields[1], "/go.mod")
		if err := module.Check(fields[0], version); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if _, ok := h1Key(fields[2]); !ok {
			return nil, fmt.Errorf("line %d: %.80q is not an h1 sum", line, fields[2])
		}
		key := module.Version{Path: fields[0], Version: version}
		m := all[key]
		if m == nil {
			m = &moduleSums{path: fields[0], version: version}
			all[key] = m
		}
		slot := &m.zip
		if isMod {
			slot = &m.mod
		}
		if *slot != "" && *slot != fields[2] {
			return nil, fmt.Errorf("line %d: a second, different sum for %s %s", line, fields[0], fields[1])
		}
		*slot = fields[2]
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	var list []moduleSums
	for _, m := range all {
		list = append(list, *m)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].path != list[j].path {
			return list[i].path < list[j].path
		}
		return semver.Compare(list[i].version, list[j].version) < 0
	})
	return list, nil
}
