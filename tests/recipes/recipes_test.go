package recipes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// answer is the last file of a case.
const answer = "want"

// slowest is how long a case may take; pkgtool has to end by itself.
const slowest = time.Minute

// fewest is how many cases there must be, so that none is lost unseen.
const fewest = 60

func TestBrokenRecipes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < fewest {
		t.Errorf("%d cases; there were %d", len(files), fewest)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			try(t, file)
		})
	}
}

// try runs one case and compares the answer.
func try(t *testing.T, file string) {
	text, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	lines := lay(t, text, work)
	if len(lines) == 0 {
		t.Fatal("no run: line")
	}
	var got strings.Builder
	for _, line := range lines {
		got.WriteString(pkgtool(t, work, strings.Fields(line)))
	}
	last := len(text.Files) - 1
	if *update {
		if last < 0 || text.Files[last].Name != answer {
			text.Files = append(text.Files, txtar.File{Name: answer})
			last++
		}
		text.Files[last].Data = []byte(got.String())
		if err := os.WriteFile(file, txtar.Format(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if last < 0 || text.Files[last].Name != answer {
		t.Fatalf("no file %s; go test -update writes it", answer)
	}
	if want := string(text.Files[last].Data); got.String() != want {
		t.Errorf("pkgtool answers\n%s\nwant\n%s\n(go test ./tests/recipes -update writes the answers anew)", got.String(), want)
	}
}

// lay puts the files of a case where they belong and returns its commands.
func lay(t *testing.T, text *txtar.Archive, work string) []string {
	t.Helper()
	recipes, cache := filepath.Join(work, "recipes"), filepath.Join(work, "cache")
	if err := os.CopyFS(filepath.Join(recipes, "pipelines"), os.DirFS("../../recipes/pipelines")); err != nil {
		t.Fatal(err)
	}
	if err := provideSeed(recipes, cache); err != nil {
		t.Fatal(err)
	}
	for _, f := range text.Files {
		if f.Name != answer {
			put(t, filepath.Join(work, f.Name), f.Data)
		}
	}
	var runs []string
	for line := range strings.Lines(string(text.Comment)) {
		if rest, ok := strings.CutPrefix(line, "make: "); ok {
			fields := strings.Fields(rest)
			path := filepath.Join(work, fields[0])
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			maker := makers[fields[1]]
			if maker == nil {
				t.Fatalf("nobody makes a %s", fields[1])
			}
			maker(t, path, fields[2:])
		} else if rest, ok := strings.CutPrefix(line, "run: pkgtool "); ok {
			runs = append(runs, rest)
		}
	}
	fillSums(t, work)
	return runs
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// sumOf stands in a recipe for the SHA-256 of a file beside it.
var sumOf = regexp.MustCompile(`SHA256\(([^)]+)\)`)

func fillSums(t *testing.T, work string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(work, "recipes/*/recipe.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		filled := sumOf.ReplaceAllFunc(data, func(m []byte) []byte {
			content, err := os.ReadFile(filepath.Join(filepath.Dir(file), string(sumOf.FindSubmatch(m)[1])))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Appendf(nil, "%x", sha256.Sum256(content))
		})
		if !bytes.Equal(filled, data) {
			put(t, file, filled)
		}
	}
}

// pkgtool runs the program in the folder of the case, with nothing of this
// machine's user around it, and returns exit code and stderr.
func pkgtool(t *testing.T, work string, args []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slowest)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"--quiet"}, args...)...)
	cmd.Dir = work
	cmd.Env = []string{
		"HOME=" + work + "/home", "XDG_CONFIG_HOME=" + work + "/home/config", "XDG_CACHE_HOME=" + work + "/home/cache", "PATH=/usr/bin:/bin",
		"ASHLAR_CACHE=" + work + "/cache", "ASHLAR_KEYS=" + work + "/keys", "NO_COLOR=1", "TZ=UTC", "LC_ALL=C.UTF-8", "GOPROXY=off",
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("pkgtool %q does not end by itself", args)
	}
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stderr.String(), "goroutine ") || strings.Contains(stderr.String(), "panic:") {
		t.Errorf("pkgtool %q panics:\n%s", args, stderr.String())
	}
	return fmt.Sprintf("exit %d\n%s", code, plain(stderr.String(), work))
}

// changing are the parts of an answer that are others in every run, and what
// stands for them.
var changing = []struct {
	text *regexp.Regexp
	word string
}{
	{regexp.MustCompile(`WORK/cache/build/logs/([a-z0-9+._-]+)-[0-9a-f]{12}\.log`), "WORK/cache/build/logs/$1-KEY.log"},
	{regexp.MustCompile(`WORK/cache/build/work/([a-z0-9+._-]+)-[0-9]+`), "WORK/cache/build/work/$1-NUMBER"},
	{regexp.MustCompile(`(?m)line [0-9]+: +[0-9]+ (Killed|Terminated)`), "line N: PID $1"},
}

func plain(text, work string) string {
	text = strings.ReplaceAll(text, work, "WORK")
	for _, c := range changing {
		text = c.text.ReplaceAllString(text, c.word)
	}
	return fold(text)
}

// fold leaves one of equal lines of a log that follow each other: how many there
// are depends on the machine.
func fold(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if len(out) == 0 || out[len(out)-1] != line || !strings.HasPrefix(line, "  | ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}
