package seed

import (
	"context"
	"fmt"

	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/build/source/apt"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/strictyaml"
)

// Relock returns a lock with the wanted lists of l and the packages that the
// signed index of its suite has today. Go modules keep their pin; one without
// a sum gets the sum of what the module proxy serves.
func Relock(ctx context.Context, l *Lock, fetcher *source.Fetcher, progress source.Progress) (*Lock, error) {
	archive, err := source.OpenDebian(ctx, fetcher, l.Suite)
	if err != nil {
		return nil, err
	}
	index, err := archive.Index(ctx, "main/binary-"+l.Arch+"/Packages", progress)
	if err != nil {
		return nil, err
	}
	defer index.Close()
	packages, err := apt.ReadPackages(index)
	if err != nil {
		return nil, fmt.Errorf("package index of %s: %w", l.Suite, err)
	}
	chosen, err := choose(packages, l.Wanted, l.Without)
	if err != nil {
		return nil, err
	}
	fresh := *l
	fresh.Release = archive.Release.Version
	fresh.Layers = map[string][]Entry{}
	for layer, list := range chosen {
		for _, p := range list {
			fresh.Layers[layer] = append(fresh.Layers[layer], Entry{Path: p.Path, SHA256: p.File.SHA256, Size: p.File.Size})
		}
	}
	for layer, entries := range l.Layers {
		for _, e := range entries {
			if e.GoMod == "" {
				continue
			}
			if e.H1 == "" {
				if e.H1, err = source.ModuleSum(ctx, fetcher, e.GoMod); err != nil {
					return nil, err
				}
			}
			fresh.Layers[layer] = append(fresh.Layers[layer], e)
		}
	}
	if err := fresh.check(); err != nil {
		return nil, err
	}
	return &fresh, nil
}

// ReadWanted reads a lock file as the start of a new one: entries need not be
// complete.
func ReadWanted(path string) (*Lock, error) {
	l := &Lock{}
	if err := strictyaml.ReadFile(path, l); err != nil {
		return nil, err
	}
	if l.Schema != 1 || l.Distribution != "debian" || !layerName(l.Suite) || !layerName(l.Arch) || len(l.Wanted) == 0 {
		return nil, fault.Errorf(fault.Usage, "%s: needs schema 1, distribution debian, suite, arch and wanted", path)
	}
	for layer := range l.Wanted {
		if !layerName(layer) {
			return nil, fault.Errorf(fault.Usage, "%s: bad layer name %q", path, layer)
		}
	}
	return l, nil
}
