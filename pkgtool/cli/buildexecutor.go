package cli

import (
	"errors"
	"path/filepath"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

// executorOptions say which machines the commands of builds run on.
type executorOptions struct {
	name          string
	daemons       []string
	ca, cert, key string
}

func (o *executorOptions) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.name, "executor", "local", "what runs the builds: local (this host), or buildkit (a farm of BuildKit daemons)")
	flags.StringArrayVar(&o.daemons, "daemon", nil, "a daemon of the farm: tcp://HOST:PORT[,slots=N][,jobs=N]; give it once for each")
	flags.StringVar(&o.ca, "tls-ca", "", "file with the authority of the daemons' certificates")
	flags.StringVar(&o.cert, "tls-cert", "", "file with this host's certificate for the daemons")
	flags.StringVar(&o.key, "tls-key", "", "file with the key of that certificate")
	cmd.RegisterFlagCompletionFunc("executor", cobra.FixedCompletions([]string{"local", build.FarmExecutor}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("daemon", cobra.NoFileCompletions)
}

// open gives an engine its executor; close that.
func (o *executorOptions) open(app *App, engine *build.Engine) (close func(), err error) {
	if o.name == "local" {
		if len(o.daemons) > 0 || o.ca+o.cert+o.key != "" {
			return nil, fault.Mark(errors.New("--daemon and --tls-... are for a farm"), fault.Usage, "give --executor buildkit")
		}
		return func() {}, nil
	}
	executor, err := build.OpenExecutor(o.name, build.ExecutorOptions{
		Addresses: o.daemons, CA: o.ca, Cert: o.cert, Key: o.key,
		Cache:  filepath.Join(engine.Fetcher.CacheDir, "farm"),
		Report: func(text string) { app.Say("%s", text) },
	})
	if err != nil {
		return nil, err
	}
	engine.Executor = executor
	return func() { executor.Close() }, nil
}
