package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

// exportMark is in folders that Export made, and may therefore replace.
const exportMark = ".ashlar-web"

// Export writes the pages of the repository in dir as files into the folder out,
// for a web server that only has files: all but the search. What a folder of an
// earlier export has is replaced, all at once; any other folder that holds
// something is refused. The same state gives the same files. It returns how
// many there are.
func Export(ctx context.Context, dir, out string, o Options) (files int, err error) {
	if o.URL == "" {
		return 0, fault.Errorf(fault.Usage, "pages in files cannot know the address of the repository; it must be given")
	}
	out = filepath.Clean(out)
	if err := mayReplace(out); err != nil {
		return 0, err
	}
	s := New(ctx, dir, o)
	defer s.Close()
	st, err := readState(ctx, dir, nil)
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.Mark(fmt.Errorf("%s is not a repository, or not a whole one: %w", dir, err), fault.Usage, "look at it with: pkgtool repo check "+dir)
	}
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return 0, err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".*.tmp")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(fresh) // the old one, in the end
	if err := os.Chmod(fresh, 0o755); err != nil {
		return 0, err
	}
	e := &export{site: s, state: st, dir: fresh}
	if err := e.all(ctx); err != nil {
		return 0, err
	}
	return e.files, install(fresh, out)
}

func mayReplace(out string) error {
	files, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(out, exportMark)); err != nil {
		return fault.Mark(fmt.Errorf("%s holds files that are not the pages of a repository", out), fault.Usage, "choose a folder that is empty or not there")
	}
	return nil
}

// install puts the folder fresh in the place of out, and makes both durable.
func install(fresh, out string) error {
	d, err := os.Open(fresh)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", fresh, err)
	}
	if _, err := os.Lstat(out); err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, out, unix.RENAME_EXCHANGE)
		if err != nil {
			return fmt.Errorf("exchange %s with %s: %w", fresh, out, err)
		}
	} else if err := os.Rename(fresh, out); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(out))
}

// export writes pages below dir.
type export struct {
	site  *Site
	state *state
	dir   string
	files int
}

func (e *export) all(ctx context.Context) error {
	for name, content := range map[string][]byte{exportMark: nil, "style.css": style, "icon.svg": icon} {
		if err := e.write(name, content); err != nil {
			return err
		}
	}
	if err := e.page(ctx, "/feed.atom"); err != nil {
		return err
	}
	for _, path := range slices.Concat([]string{"/", "/health/", "/browse/", "/advisory/"}, e.browsePages(), e.advisoryPages()) {
		if err := e.page(ctx, path); err != nil {
			return err
		}
	}
	for _, name := range e.state.names {
		if err := e.pagesOf(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// browsePages lists the pages of packages by their first character.
func (e *export) browsePages() (paths []string) {
	counts := map[string]int{}
	for _, name := range e.state.names {
		first := name[:1]
		if counts[first]%namesPerPage == 0 {
			paths = append(paths, "/"+numbered("browse/"+first+"/", "")(counts[first]/namesPerPage+1))
		}
		counts[first]++
	}
	return paths
}

func (e *export) advisoryPages() (paths []string) {
	for n := 2; (n-1)*advisoryPages < len(e.state.advisories); n++ {
		paths = append(paths, "/"+numbered("advisory/", advisoryPagePrefix)(n))
	}
	for _, a := range e.state.advisories {
		paths = append(paths, "/"+advisoryLink(a.ID))
	}
	return paths
}

// pagesOf writes the pages of a package and its builds.
func (e *export) pagesOf(ctx context.Context, name string) error {
	all, err := e.state.buildsOf(name)
	if err != nil {
		return err
	}
	if err := e.page(ctx, "/"+packageLink(name)); err != nil {
		return err
	}
	for i := range all[:min(len(all), maxBuilds)] {
		link := "/" + buildLink(all, &all[i])
		if err := e.page(ctx, link); err != nil {
			return err
		}
		f, err := e.site.facts(ctx, e.state, &all[i].Entry)
		if err != nil {
			continue // its page says why there are no files
		}
		for n := 1; n == 1 || (n-1)*filesPerPage < f.Files; n++ {
			if err := e.page(ctx, numbered(link+"files/", "")(n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// page writes what a visitor would get.
func (e *export) page(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	v := &visit{site: e.site, state: e.state, path: path, url: e.site.url, static: true}
	a := v.answer(ctx)
	if a.status != 0 {
		return fmt.Errorf("page %s could not be made", path)
	}
	name := v.path
	if name[len(name)-1] == '/' {
		name += "index.html"
	}
	return e.write(name, a.body)
}

func (e *export) write(name string, content []byte) error {
	file := filepath.Join(e.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	e.files++
	return os.WriteFile(file, content, 0o644)
}
