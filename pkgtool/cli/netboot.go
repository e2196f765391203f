package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"ashlar/installer/netboot"
	"ashlar/pkgtool/fault"
	"ashlar/repo/serve"

	"github.com/spf13/cobra"
)

// netbootCommands start machines over the network.
func netbootCommands(app *App) []*cobra.Command {
	group := &cobra.Command{
		Use: "netboot", Short: "Start and install many machines over the network",
		Long: `Start machines over the network, and install each as its answer file says.

A list maps machines to answer files:

  version: 1
  answers: web.yaml               # of machines that name none
  machines:
    - {name: web1, match: {mac: "52:54:00:12:34:56"}, hostname: web1}
    - {name: web2, match: {serial: "CZ3*77"}, hostname: web2}
    - {name: db, match: {uuid: 4c4c4544-0042-3510-8052-b4c04f4e3232}, answers: db.yaml}

The network's DHCP server stays as it is: the answers here only add what to
start. A machine that has been installed starts from its disk, also when its
firmware asks the network first.`,
		Example: `  pkgtool image build server --format netboot
  pkgtool netboot serve build/ashlar-server.netboot.tar --machines machines.yaml
  pkgtool netboot status`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(netbootServe(app), netbootStatus(app), netbootAgain(app), netbootValidate(app), netbootSchema(app))
	return []*cobra.Command{group}
}

func netbootServe(app *App) *cobra.Command {
	var o netboot.Options
	var repository string
	cmd := &cobra.Command{
		Use: "serve IMAGE", Short: "Serve DHCP (proxy), TFTP and HTTP until interrupted", Args: cobra.ExactArgs(1),
		Long: `Starts machines on the network of one card: answers their firmware (DHCP and PXE
at UDP 67 and 4011, TFTP at UDP 69), and gives kernel, root image, boot loader
settings, answer files and the status of all machines over HTTP.

IMAGE is of the format netboot (pkgtool image build NAME --format netboot). With
--repository machines install from here, too: name http://ADDRESS/repository/
in the answer files.

The first line on stdout is the URL. What machines do is told on stderr, unless
--quiet. It must be allowed to listen at these ports (root), and another DHCP
server must give the machines addresses, from another host. Serve networks that
you trust only: whoever sends from there can ask for answer files, and they hold
hashes of passwords.

The list is read again when it changes. --state remembers over a restart which
machines have been installed.`,
		Example: `  pkgtool netboot serve build/ashlar-minimal.netboot.tar --machines machines.yaml
  pkgtool netboot serve server.netboot.tar --machines machines.yaml --interface eth1 \
    --repository /srv/repo --state /var/lib/netboot.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Image = args[0]
			if repository != "" {
				server, err := serve.New(repository, serve.Options{Errors: app.Err})
				if err != nil {
					return err
				}
				defer server.Close()
				o.Repository = server
			}
			o.Say = app.Say
			o.Changed = func(s netboot.Status) { app.Say("%s", statusLine(s)) }
			var printed error
			o.Ready = func(url string) {
				printed = app.Print(map[string]any{"schema": 1, "url": url}, func(w io.Writer) { fmt.Fprintln(w, url) })
			}
			if err := netboot.Serve(cmd.Context(), o); err != nil {
				return err
			}
			return printed
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Machines, "machines", "", "list of machines (default: the image starts on every machine that asks)")
	f.StringVar(&o.Interface, "interface", "", "network card to serve (default: the only one with an IPv4 address)")
	f.IntVar(&o.Port, "port", 80, "port of HTTP; with another than 80, GRUB loads over TFTP, which is slower")
	f.StringVar(&o.State, "state", "", "file that remembers which machines have been installed (default: forgotten at the end)")
	f.StringVar(&repository, "repository", "", "folder of a repository to serve at /repository/")
	_ = cmd.MarkFlagDirname("repository")
	_ = cmd.MarkFlagFilename("machines", "yaml", "yml")
	return cmd
}

// statusLine is what happened to one machine, for a person.
func statusLine(s netboot.Status) string {
	who := s.MAC
	if s.Name != "" {
		who = s.Name + " (" + s.MAC + ")"
	}
	line := who + ": " + phaseText(s)
	if s.Error != "" {
		line += ": " + s.Error
	}
	return line
}

func phaseText(s netboot.Status) string {
	switch {
	case s.Step != "" && s.Total > 0:
		return fmt.Sprintf("%s, %s (%d %%)", s.Phase, s.Step, 100*s.Done/s.Total)
	case s.Step != "":
		return s.Phase + ", " + s.Step
	}
	return s.Phase
}

// netbootServer adds the flag that names a running server.
func netbootServer(cmd *cobra.Command, at *string) {
	cmd.Flags().StringVar(at, "server", "", "URL that netboot serve printed (default: http:// and this host's name)")
}

func netbootRequest(ctx context.Context, method, at, path string) (*http.Response, error) {
	if at == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, err
		}
		at = "http://" + host
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(at, "/")+path, nil)
	if err != nil {
		return nil, fault.Mark(err, fault.Usage, "")
	}
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("ask %s: %w", at, err), fault.Network, "name the server with --server; it is the URL that netboot serve printed")
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return nil, fault.Errorf(fault.Failed, "%s: %s", at, strings.TrimSpace(string(text)))
	}
	return resp, nil
}

func netbootStatus(app *App) *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use: "status", Short: "Show what each machine is doing", Args: cobra.NoArgs,
		Example: "  pkgtool netboot status --server http://192.0.2.1/ --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			resp, err := netbootRequest(cmd.Context(), http.MethodGet, at, "/status")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			var list struct {
				Schema   int              `json:"schema"`
				Machines []netboot.Status `json:"machines"`
			}
			if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&list); err != nil {
				return fmt.Errorf("read the status: %w", err)
			}
			return app.Print(list, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "NAME\tMAC\tADDRESS\tSERIAL\tFIRMWARE\tSINCE\tPHASE")
				for _, s := range list.Machines {
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(s.Name), printable(s.MAC), printable(s.Address), printable(s.Serial),
						printable(s.Firmware), s.Changed.Local().Format(time.TimeOnly), printable(strings.TrimSuffix(phaseText(s)+": "+s.Error, ": ")))
				}
				t.Flush()
			})
		},
	}
	netbootServer(cmd, &at)
	return cmd
}

func netbootAgain(app *App) *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use: "again MACHINE", Short: "Let a machine be installed again when it next starts", Args: cobra.ExactArgs(1),
		Long:    "Lets a machine, by its name or MAC address, be installed again when it next asks\nthe network. Run it on the host of netboot serve: others are refused.",
		Example: "  pkgtool netboot again web1",
		RunE: func(cmd *cobra.Command, args []string) error {
			resp, err := netbootRequest(cmd.Context(), http.MethodPost, at, "/again/"+url.PathEscape(args[0]))
			if err != nil {
				return err
			}
			resp.Body.Close()
			return app.Print(map[string]any{"schema": 1, "again": args[0]}, func(w io.Writer) {
				fmt.Fprintf(w, "%s will be installed when it next asks the network\n", args[0])
			})
		},
	}
	netbootServer(cmd, &at)
	return cmd
}

func netbootValidate(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE", Short: "Check a list of machines and the answer files it names", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			list, err := netboot.ReadMachines(args[0])
			if err != nil {
				return err
			}
			return app.Print(map[string]any{"schema": 1, "valid": true, "machines": len(list.Machines)}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is valid: %d machines\n", args[0], len(list.Machines))
			})
		},
	}
}

func netbootSchema(app *App) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the list of machines", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := netboot.Schema()
			if err != nil {
				return err
			}
			_, err = app.Out.Write(schema)
			return err
		},
	}
}
