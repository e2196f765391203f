package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/elsewhere"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/fault"

	"github.com/spf13/cobra"
)

// buildVerify builds recipes a second time and compares.
func buildVerify(app *App) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify NAME... | --all",
		Short: "Build again under other circumstances and compare the packages",
		Long: `Builds each recipe, or takes it from the cache, and then builds it once more, with
the same inputs but alone in a cache of its own, and compares package by package.
What a build must not depend on differs the second time: the paths of cache, build
folder and recipes, the number of jobs and cores, the umask, the time zone and the
language, the environment, the time of day. Root becomes an ordinary user (` + fmt.Sprint(elsewhere.Nobody) + `) on a host
of another name, for which the kernel must know idmapped mounts; an ordinary user
builds as itself and sees the recipes where they are.

With a shared cache the first packages may be those of another builder; --push then adds a
signature to each result that came out the same here.

Of what differs it prints files, members of static libraries and archives, sections
of ELF files, lines of texts, and else bytes; --keep leaves both packages to look at
with other tools, such as diffoscope.

The exit code is 1 where anything differs or cannot be built again.`,
		Example: `  pkgtool build verify zlib openssl
  pkgtool build verify --all --keep /tmp/differing
  pkgtool --json build verify --all | jq -r '.recipes[] | select(.same | not) | .recipe'`,
		RunE: func(cmd *cobra.Command, names []string) error { return o.run(cmd.Context(), app, names) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.recipes, "recipes", "recipes", "folder of all recipes")
	flags.BoolVar(&o.all, "all", false, "verify every recipe")
	flags.IntVarP(&o.jobs, "jobs", "j", 0, "jobs of a second build; 0 means one more than there are cores")
	flags.IntVar(&o.parallel, "parallel", 1, "second builds at a time; each has its share of the cores")
	flags.StringVar(&o.keep, "keep", "", "folder for the packages that differ")
	o.shared.buildFlags(cmd)
	flags.BoolVar(&o.sameUser, "same-user", false, "let root stay root, where the kernel has no idmapped mounts")
	return cmd
}

type verifyOptions struct {
	recipes, keep  string
	all, sameUser  bool
	jobs, parallel int
	shared         sharedOptions
}

// verifyResult is what `build verify` prints, schema 1.
type verifyResult struct {
	Schema  int              `json:"schema"`
	Same    bool             `json:"same"`
	Varied  []string         `json:"varied"` // what was not as in the first build
	Recipes []build.Verified `json:"recipes"`
}

func (o *verifyOptions) run(ctx context.Context, app *App, names []string) error {
	if o.all == (len(names) > 0) {
		return fault.Mark(errors.New("name the recipes to verify, or give --all"), fault.Usage, "pkgtool recipe list names them")
	}
	engine, err := build.Open(o.recipes)
	if err != nil {
		return err
	}
	report, closeReport := BuildReporter(app)
	defer closeReport()
	engine.Report = report
	signer, err := packagerKey(app)
	if err != nil {
		return err
	}
	if _, err := o.shared.open(engine, o.recipes, signer); err != nil {
		return err
	}
	again := o.stranger(app, engine)
	result := verifyResult{Schema: 1, Same: true, Varied: again.varied()}
	result.Recipes, err = engine.Verify(ctx, names, build.Verification{
		Parallel: o.parallel, Again: again.build, Seen: again.seen, Keep: o.keep,
		Tell: func(v *build.Verified) { app.Say("%-10s %s: %s", "verified", v.Recipe, verdict(v)) },
	})
	if err != nil {
		return err
	}
	var bad []string
	for _, v := range result.Recipes {
		if !v.Same {
			result.Same = false
			bad = append(bad, v.Recipe)
		}
	}
	if err := app.Print(result, result.print); err != nil || result.Same {
		return err
	}
	return fault.Errorf(fault.Failed, "%d of %d recipes did not give the same packages again: %s", len(bad), len(result.Recipes), strings.Join(bad, " "))
}

func verdict(v *build.Verified) string {
	switch {
	case v.Error != "":
		return "cannot be built again"
	case v.Same:
		return fmt.Sprintf("the same %d packages in %.1f s", len(v.Packages), v.Seconds)
	}
	return "differs"
}

func (r verifyResult) print(w io.Writer) {
	for _, v := range r.Recipes {
		fmt.Fprintf(w, "%s: %s\n", v.Recipe, verdict(&v))
		if v.Error != "" {
			fmt.Fprintln(w, "  "+strings.ReplaceAll(v.Error, "\n", "\n  "))
		}
		for _, p := range v.Packages {
			if !p.Same {
				printVerified(w, &p)
			}
		}
	}
}

// printVerified shows what differs in one package.
func printVerified(w io.Writer, p *build.VerifiedPackage) {
	switch {
	case p.Second == "":
		fmt.Fprintf(w, "  package %s: only the first build made it\n", p.Package)
		return
	case p.First == "":
		fmt.Fprintf(w, "  package %s: only the second build made it\n", p.Package)
		return
	}
	fmt.Fprintf(w, "  package %s:\n", p.Package)
	for _, f := range p.Difference.Fields {
		fmt.Fprintf(w, "    %s: %s -> %s\n", f.Field, shown(f.From), shown(f.To))
	}
	for _, l := range p.Difference.Lists {
		for _, text := range l.Removed {
			fmt.Fprintf(w, "    %s: - %s\n", l.Field, printable(text))
		}
		for _, text := range l.Added {
			fmt.Fprintf(w, "    %s: + %s\n", l.Field, printable(text))
		}
	}
	for _, c := range p.Difference.Files {
		switch {
		case c.From == nil:
			fmt.Fprintf(w, "    + /%s\n", printable(c.Path))
		case c.To == nil:
			fmt.Fprintf(w, "    - /%s\n", printable(c.Path))
		default:
			fmt.Fprintf(w, "    ~ /%s (%s)\n", printable(c.Path), printable(fileChanges(c)))
		}
		for _, d := range p.Content {
			if d.Path == c.Path {
				printContent(w, d.What)
			}
		}
	}
	for _, d := range p.Content {
		if d.Path == "" {
			printContent(w, d.What)
		}
	}
}

func printContent(w io.Writer, lines []string) {
	for _, line := range lines {
		fmt.Fprintln(w, "        "+printable(line))
	}
}

// stranger builds as somebody else would, elsewhere.
type stranger struct {
	app     *App
	options *verifyOptions
	engine  *build.Engine
	place   string // where folders are shown; "" where none can be
}

// stranger makes ready for second builds.
func (o *verifyOptions) stranger(app *App, engine *build.Engine) *stranger {
	s := &stranger{app: app, options: o, engine: engine}
	if !o.sameUser && elsewhere.Stranger() {
		s.place = elsewhere.Base()
	}
	return s
}

// seen is where the stranger sees a path of the engine's cache.
func (s *stranger) seen(path string) string {
	if s.place == "" {
		return path
	}
	return strings.Replace(path, s.engine.Fetcher.CacheDir, filepath.Join(s.place, "cache"), 1)
}

// varied lists what is not as in the first build.
func (s *stranger) varied() []string {
	list := []string{"paths of cache and build", "jobs", "cores", "umask", "time zone", "language", "environment", "time"}
	if s.place != "" {
		list = append(list, "path of the recipes", "user", "host name")
	}
	return list
}

// build runs `pkgtool build` for one recipe, elsewhere.
func (s *stranger) build(ctx context.Context, r *recipe.Recipe, p *build.Place) error {
	own, recipes := p.Dir, s.engine.Tree.Dir
	order := elsewhere.Order{Umask: 0o077, CPUs: max(1, runtime.NumCPU()/max(1, s.options.parallel)), Dir: "/"}
	if order.CPUs == runtime.NumCPU() && order.CPUs > 2 {
		order.CPUs-- // the number differs without costing much
	}
	if s.place != "" {
		own, recipes = filepath.Join(s.place, "own"), filepath.Join(s.place, "project", filepath.Base(s.engine.Tree.Dir))
		order.User, order.HostName = elsewhere.Nobody, "elsewhere"
		order.Shows = []elsewhere.Show{
			{Folder: p.Dir, As: own},
			{Folder: s.engine.Fetcher.CacheDir, As: filepath.Join(s.place, "cache")},
			{Folder: filepath.Dir(s.engine.Tree.Dir), As: filepath.Join(s.place, "project")},
		}
	}
	jobs := s.options.jobs
	if jobs == 0 {
		jobs = runtime.NumCPU() + 1
	}
	order.Args = []string{"build", r.Name, "--recipes", recipes, "--out", filepath.Join(own, "out"), "--jobs", fmt.Sprint(jobs)}
	order.Env = append(elsewhere.Environ(own), "ASHLAR_CACHE="+filepath.Join(own, "cache"), "ASHLAR_KEYS="+filepath.Join(own, "keys"), sharedVariable+"=none")
	log := &tail{}
	var progress io.Writer = log
	if s.app.Verbose {
		progress = io.MultiWriter(log, s.app.Err)
	}
	if err := elsewhere.Run(ctx, order, io.Discard, progress); err != nil {
		return fmt.Errorf("%w:\n%s", err, log.text())
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct{ bytes.Buffer }

// tailSize is how much a tail keeps, in bytes.
const tailSize = 16 << 10

func (t *tail) Write(data []byte) (int, error) {
	if t.Len() > 2*tailSize {
		t.Next(t.Len() - tailSize)
	}
	return t.Buffer.Write(data)
}

func (t *tail) text() string { return printableLines(t.String()) }

// printableLines is printable for text of several lines.
func printableLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = printable(strings.ReplaceAll(line, "\t", " "))
	}
	return strings.Join(lines, "\n")
}
