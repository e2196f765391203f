package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/solver"
	"ashlar/repo/index"
)

// complete refuses what would make packages of a channel uninstallable, or bring
// in some that are: for each arch, on a machine that has nothing but the channel.
func complete(ctx context.Context, channel string, before, after []index.Entry) error {
	for _, arch := range archesOf(before, after) {
		were, err := uninstallable(ctx, before, arch)
		if err != nil {
			return err
		}
		broken, err := uninstallable(ctx, after, arch)
		if err != nil {
			return err
		}
		var lines []string
		for id, why := range broken {
			if _, already := were[id]; !already {
				lines = append(lines, fmt.Sprintf("%s: %s", id, why))
			}
		}
		if len(lines) > 0 {
			slices.Sort(lines)
			return fault.Mark(fmt.Errorf("channel %s would hold packages that cannot be installed:\n  %s", channel, strings.Join(lines, "\n  ")),
				fault.Unsolvable, "bring what they need along, or leave them out; --incomplete does it all the same")
		}
	}
	return nil
}

// archesOf lists the machines that packages are for; "noarch" alone is any.
func archesOf(lists ...[]index.Entry) []string {
	seen := map[string]bool{}
	var all []string
	for _, entries := range lists {
		for i := range entries {
			if arch := entries[i].Arch; arch != "noarch" && !seen[arch] {
				seen[arch] = true
				all = append(all, arch)
			}
		}
	}
	if len(all) == 0 {
		return []string{""}
	}
	slices.Sort(all)
	return all
}

// uninstallable returns why packages cannot be installed, by their IDs.
func uninstallable(ctx context.Context, entries []index.Entry, arch string) (map[string]string, error) {
	var packages []*solver.Package
	ids := map[*solver.Package]string{}
	for _, e := range entries {
		if arch != "" && e.Arch != arch && e.Arch != "noarch" {
			continue
		}
		p, err := install.Offered(client.Entry{Entry: e})
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
		ids[p] = e.ID()
	}
	bad, err := solver.NewUniverse(packages).CheckAll(ctx, arch)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, b := range bad {
		all[ids[b.Package]] = strings.Join(b.Reasons, ", and ")
	}
	return all, nil
}
