package cli

import (
	"strings"

	"ashlar/pkgtool/install"
	"ashlar/pkgtool/system"

	"github.com/spf13/cobra"
)

// maxCompletions bounds how many names a shell is offered.
const maxCompletions = 500

// completeInstalled completes names of installed packages.
func (a *App) completeInstalled(_ *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
	sys, err := system.Open(a.Root)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer sys.Close()
	var names []string
	for _, r := range sys.Installed() {
		if strings.HasPrefix(r.Name, typed) && (len(names) == 0 || !strings.HasPrefix(names[len(names)-1], r.Name+"\t")) {
			names = append(names, r.Name+"\t"+printable(r.Summary))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeAvailable completes names of packages on offer, as the last refresh
// found them, and files.
func (a *App) completeAvailable(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	session, err := install.Open(install.Options{Root: a.Root, Offline: true})
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	defer session.Close()
	if err := session.Load(cmd.Context()); err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return session.Client().Names(typed, maxCompletions), cobra.ShellCompDirectiveDefault
}
