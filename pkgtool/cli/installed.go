package cli

import (
	"fmt"
	"io"
	"time"

	"ashlar/pkgtool/system"

	"github.com/spf13/cobra"
)

// installedCommands tell of generations.
func installedCommands(app *App) []*cobra.Command {
	return []*cobra.Command{historyCommand(app)}
}

func historyCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "history", Short: "List the generations of the system", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return app.withSystem(func(sys *system.System) error {
				history, err := sys.History()
				if err != nil {
					return err
				}
				type generation struct {
					Number   int       `json:"number"`
					Time     time.Time `json:"time"`
					Reason   string    `json:"reason"`
					Command  []string  `json:"command,omitempty"`
					Packages int       `json:"packages"`
				}
				generations := []generation{}
				for _, g := range history {
					generations = append(generations, generation{g.Number, g.Time, g.Reason, g.Command, len(g.Packages)})
				}
				return app.Print(map[string]any{"schema": 1, "current": sys.Generation().Number, "generations": generations}, func(w io.Writer) {
					for _, g := range generations {
						fmt.Fprintf(w, "%4d  %s  %4d packages  %s\n", g.Number, g.Time.Format(time.RFC3339), g.Packages, printable(g.Reason))
					}
				})
			})
		},
	}
}
