package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ashlar/installer"
	"ashlar/installer/report"
	"ashlar/installer/ui"
	"ashlar/pkgtool/client"
	"ashlar/pkgtool/diskkey"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/system"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// offered are packages that people look for on a server. Those that the
// repositories have, and the system has not, are offered.
var offered = []string{"openssh-server", "dropbear", "nginx", "postgresql", "node-exporter", "libvirt", "qemu", "nerdctl", "python3", "perl", "tmux"}

func installerAsk(app *App) *cobra.Command {
	var output string
	var plain bool
	cmd := &cobra.Command{
		Use: "ask", Short: "Ask what to install on which disk, and do it", Args: cobra.NoArgs,
		Long: `Asks a person, on a screen or on a serial line, what an installation needs to
know, and writes the answer file that the unattended installation reads. Then it
installs, if that was the last answer.

On a terminal that is dumb, or does not say how large it is, questions come line
by line; a script can answer them. Nothing is changed before the last question.`,
		Example: "  pkgtool installer ask\n  pkgtool installer ask --plain --output node1.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := installer.CheckFirmware(&installer.Plan{}); err != nil {
				return err
			}
			terminal := ui.Terminal{In: app.In, Out: app.Err, Plain: plain || ui.NeedsPlain(app.In, app.Err, os.Getenv("TERM"))}
			facts, err := app.installerFacts(cmd.Context())
			if err != nil {
				return err
			}
			answers, decision, err := ui.Ask(cmd.Context(), terminal, facts)
			if err != nil {
				return err
			}
			if decision == ui.Quit {
				app.Say("nothing was changed")
				return nil
			}
			text, err := yaml.Marshal(answers)
			if err != nil {
				return err
			}
			if err := durable.WriteFile(output, text, 0o600); err != nil {
				return err
			}
			app.Say("the answers are in %s", output)
			if decision != ui.Install {
				_, err := installer.ReadAnswers(output)
				return err
			}
			_, err = app.installFrom(cmd.Context(), output, terminal.Plain, nil)
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "answers.yaml", "answer file to write")
	cmd.Flags().BoolVar(&plain, "plain", false, "ask line by line, also on a terminal that could show forms")
	_ = cmd.MarkFlagFilename("output", "yaml")
	return cmd
}

// installerFacts are what a person can choose from on this machine: it gets what
// the live system has, and what the repositories offer besides.
func (a *App) installerFacts(ctx context.Context) (ui.Facts, error) {
	facts := ui.Facts{Hostname: "ashlar", TPM: diskkey.Present() == nil,
		Setup: installer.CheckFirmware(&installer.Plan{SecureBoot: true}) == nil}
	var err error
	if facts.Disks, err = probeDisks(); err != nil {
		return facts, err
	}
	live, err := system.Open(a.Root)
	if err != nil {
		return facts, err
	}
	defer live.Close()
	for _, r := range live.Installed() {
		if r.Requested || strings.HasPrefix(r.Name, "linux-") && !strings.HasSuffix(r.Name, "-headers") {
			facts.Packages = append(facts.Packages, r.Name)
		}
	}
	if !slices.Contains(facts.Packages, "ashlar-loader") {
		facts.Packages = append(facts.Packages, "ashlar-loader")
	}
	offers, err := a.freshOffers(ctx)
	if err != nil {
		// Without a network the system can still be installed from a medium.
		a.Say("not all repositories could be asked what they offer besides: %s", printable(err.Error()))
	}
	if offers == nil {
		return facts, nil
	}
	for _, name := range offered {
		for _, e := range offers.Search(name) {
			if e.Name == name && live.Package(name) == nil {
				facts.Offers = append(facts.Offers, ui.Offer{Name: name, Summary: e.Summary})
				break
			}
		}
	}
	return facts, nil
}

// refreshFor is how long the repositories may take to say what they offer, while a
// person waits.
const refreshFor = 30 * time.Second

// freshOffers asks the repositories now. With an error there can still be
// something to choose from.
func (a *App) freshOffers(ctx context.Context) (*client.Client, error) {
	dirs := client.DirsOf(a.Root)
	configs, err := client.LoadConfigs(dirs.Config)
	if err != nil {
		return nil, err
	}
	c, err := client.Open(configs, dirs, client.Options{AllowStale: true, Warn: func(err error) { a.Say("%s", printable(err.Error())) }})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, refreshFor)
	defer cancel()
	_, err = c.Refresh(ctx)
	return c, err
}

// installFrom installs as an answer file says, without a question, showing
// phases and time left, and reporting to r, which may be nil.
func (a *App) installFrom(ctx context.Context, file string, plain bool, r *report.Reporter) (plan *installer.Plan, err error) {
	defer func() {
		if e := r.End(context.WithoutCancel(ctx), err); e != nil {
			a.Say("%v", e)
		}
	}()
	plan, err = makePlan(file)
	if err != nil {
		return nil, err
	}
	showInstallation(a.messages(), plan)
	passphrase, err := a.passphrase(plan)
	if err != nil {
		return nil, err
	}
	progress := ui.NewProgress(a.messages(), plain)
	defer progress.End()
	step := ""
	begin := func(name string) {
		if name == step {
			return
		}
		step = name
		progress.Step(name)
		_ = r.Send(ctx, report.Message{Phase: report.Installing, Step: name}) // a courtesy
	}
	update := func(done, total int64) {
		progress.Update(done, total)
		r.Progress(ctx, report.Message{Phase: report.Installing, Step: step, Done: done, Total: total})
	}
	begin("fetch packages")
	prepared, err := installer.Prepare(ctx, a.Root, plan, os.Args, func(what string, done, total int64) {
		begin(what + " packages")
		update(done, total)
	})
	if err != nil {
		return nil, fmt.Errorf("fetch the packages, nothing was written to a disk: %w", err)
	}
	defer prepared.Close()
	err = installer.Apply(ctx, plan, installer.Options{
		Packages: prepared.Packages, Tools: prepared.Tools, Passphrase: passphrase, Settings: filepath.Join(a.Root, "etc/pkgtool"), Command: os.Args, LogFile: installer.LogFile, Progress: begin, Copied: update})
	if err != nil {
		return nil, err
	}
	progress.End()
	return plan, a.Print(plan, func(w io.Writer) {
		fmt.Fprintf(w, "installed %d packages on %s; take the medium out and start the machine again\n", len(prepared.Packages), strings.Join(plan.Paths(), " and "))
	})
}

func installerAuto(app *App) *cobra.Command {
	var answers, after string
	cmd := &cobra.Command{
		Use: "auto", Short: "Install as the kernel command line says, without a person", Args: cobra.NoArgs,
		Long: `Installs this machine by itself: takes the answer file that the kernel parameter
ashlar.answers names (a URL or a path), installs without a question, reports to
the URL of ashlar.report, and starts the machine again. Without the parameter it
does nothing.

A server of answer files is told the machine's serial number, UUID and the
addresses of its network cards. While it does not answer, it is asked again for
two minutes. When the installation fails, the machine stays as it is.

| kernel parameter | meaning |
| ashlar.answers=  | URL or path of the answer file, or drive: answers.yaml on the drive labelled ANSWERS |
| ashlar.report=   | URL that is told how it goes |
| ashlar.after=    | reboot, poweroff, stay; default: finish of the answer file, else reboot |`,
		Example: "  pkgtool installer auto\n  pkgtool installer auto --answers http://192.0.2.1/node1.yaml --after stay",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, value := range map[string]*string{installer.AnswersParameter: &answers, "ashlar.after": &after} {
				if *value == "" {
					var err error
					if *value, err = installer.KernelParameter("/proc/cmdline", name); err != nil {
						return err
					}
				}
			}
			if after != "" && !slices.Contains(installer.Finishes, after) {
				return fault.Errorf(fault.Usage, "after the installation: %q is not known; known: %s", after, strings.Join(installer.Finishes, ", "))
			}
			if answers == "" {
				app.Say("the kernel command line names no answer file (%s=)", installer.AnswersParameter)
				return nil
			}
			r := report.FromKernel("/proc/cmdline")
			const file = "/run/ashlar/answers.yaml"
			err := installer.Fetch(cmd.Context(), answers, "/sys", file, func(why error) { app.Say("waiting for the answer file: %v", why) })
			if err != nil {
				_ = r.End(cmd.Context(), err) // the error itself is the message
				return err
			}
			plan, err := app.installFrom(cmd.Context(), file, true, r)
			if err != nil {
				return err
			}
			for _, choice := range []string{plan.Finish, "reboot"} {
				if after == "" {
					after = choice
				}
			}
			return app.finish(cmd.Context(), after)
		},
	}
	cmd.Flags().StringVar(&answers, "answers", "", "URL or path of the answer file, or drive (default: what the kernel command line says)")
	cmd.Flags().StringVar(&after, "after", "", "reboot, poweroff or stay (default: what the kernel command line says, else the answer file, else reboot)")
	_ = cmd.RegisterFlagCompletionFunc("after", cobra.FixedCompletions([]string{"reboot", "poweroff", "stay"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
