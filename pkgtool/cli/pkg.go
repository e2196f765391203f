package cli

import (
	"github.com/spf13/cobra"
)

// pkgCommands look at, make and sign single package files.
func pkgCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "pkg",
		Short: "Look at, compare, make and sign package files",
		Long: `A package file is a tar.zst (or with --compress xz a tar.xz), which tar lists and
extracts; what makes it a package is the signed manifest in front (docs/formats/package.md).`,
		Example: `  pkgtool pkg create tree --description motd.yaml
  pkgtool pkg list example-motd-1.0.0-1.noarch.ashlar
  pkgtool pkg diff example-motd-1.0.0-1.noarch.ashlar example-motd-1.0.0-2.noarch.ashlar`,
	}
	cmd.AddCommand(pkgCreate(app), pkgInspect(app), pkgList(app), pkgVerify(app), pkgExtract(app), pkgDiff(app), pkgSign(app), pkgSBOM(app), pkgProvenance(app))
	return []*cobra.Command{cmd}
}

// completePackages completes the names of package files, at most most of them.
func completePackages(most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return []string{"ashlar"}, cobra.ShellCompDirectiveFilterFileExt
	}
}

// anyNumber is for completePackages where the list of files has no end.
const anyNumber = 1 << 20

// completeKeys completes fingerprints of one's own keys.
func completeKeys(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if store, err := openKeys(); err == nil {
		if keys, err := store.List(); err == nil {
			for _, key := range keys {
				names = append(names, key.Public().Fingerprint())
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
