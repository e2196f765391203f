package cli

import (
	"ashlar/repo"
	"ashlar/signing"

	"github.com/spf13/cobra"
)

// repoCommands are the publisher's side of package repositories.
func repoCommands(app *App) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "repo",
		Short: "Publish packages as a signed repository, and serve it",
		Long: `A repository is a folder of static files that any web server can hold. Its
role keys lie beside the signing keys (pkgtool key), never in the folder.`,
		Example: `  pkgtool repo init build/repo --name example
  pkgtool repo add build/repo build/packages/*.ashlar
  pkgtool repo publish build/repo
  pkgtool repo serve build/repo --listen :8080
  pkgtool repo trust build/repo > root.json     # what clients pin`,
	}
	cmd.AddCommand(repoInit(app), repoAllow(app), repoDisallow(app), repoPackagers(app), repoAdd(app), repoRemove(app), repoPromote(app), repoStage(app), repoPublish(app), repoDiff(app),
		repoList(app), repoStatus(app), repoCheck(app), repoPrune(app), repoLock(app), repoServe(app), repoTrust(app), repoAdvisory(app),
		repoKey(app), repoSign(app), repoResign(app), repoMirror(app), repoBundle(app), repoWeb(app))
	return []*cobra.Command{cmd}
}

func repoOptions() repo.Options {
	return repo.Options{Keys: signing.DefaultDir(), Complete: complete}
}
