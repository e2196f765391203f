package build

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/sandbox"
	"ashlar/pkgtool/fault"
)

// maxPatch bounds one patch, in bytes.
const maxPatch = 64 << 20

// patchCommands checks the patches of a recipe and returns the commands that
// apply them, before any step. The sources are unpacked already: a series may
// lie in them.
func (e *Engine) patchCommands(r *recipe.Recipe, srcdir string, w *workFolders) ([]sandbox.Command, error) {
	var list []sandbox.Command
	for i := range r.Patches {
		p := &r.Patches[i]
		dir := path.Join(srcdir, r.SourceFolder(p.Source))
		if p.Series == "" {
			cmd, err := patchCommand(w.recipe, recipeFolder, p.File, dir, p.StripCount())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.Name, err)
			}
			list = append(list, cmd)
			continue
		}
		more, err := seriesCommands(p, dir, filepath.Join(w.source, r.SourceFolder(p.Source)), w.recipe)
		if err != nil {
			return nil, fmt.Errorf("%s: series %s: %w", r.Name, p.Series, err)
		}
		list = append(list, more...)
	}
	return list, nil
}

// seriesCommands reads a quilt series from the source, or from the recipe's
// folder where the source has none of that name.
func seriesCommands(p *recipe.Patch, dir, sourceHost, recipeHost string) ([]sandbox.Command, error) {
	host, inside := sourceHost, dir
	data, err := readBelow(host, p.Series)
	if errors.Is(err, fs.ErrNotExist) {
		host, inside = recipeHost, recipeFolder
		data, err = readBelow(host, p.Series)
	}
	if err != nil {
		return nil, err
	}
	var list []sandbox.Command
	for n, line := range strings.Split(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		strip := p.StripCount()
		for _, option := range fields[1:] {
			digits, ok := strings.CutPrefix(option, "-p")
			given, err := strconv.Atoi(digits)
			if !ok || err != nil || given < 0 || given > 20 {
				return nil, fmt.Errorf("line %d: the option %.40q is not -p and a number", n+1, option)
			}
			strip = given
		}
		cmd, err := patchCommand(host, inside, path.Join(path.Dir(p.Series), fields[0]), dir, strip)
		if err != nil {
			return nil, err
		}
		list = append(list, cmd)
	}
	if len(list) == 0 {
		return nil, errors.New("it names no patch")
	}
	return list, nil
}

// patchCommand applies a patch, file below the folder host, which commands see
// as inside.
func patchCommand(host, inside, file, dir string, strip int) (sandbox.Command, error) {
	data, err := readBelow(host, file)
	if err == nil {
		err = checkPatch(data, strip)
	}
	if err != nil {
		return sandbox.Command{}, fault.Mark(fmt.Errorf("patch %s: %w", file, err), fault.Usage, "")
	}
	return sandbox.Command{
		Name: "prepare: patch " + file,
		Argv: []string{"patch", "-u", fmt.Sprintf("-p%d", strip), "-F0", "--batch", "--forward", "--no-backup-if-mismatch", "-i", path.Join(inside, file)},
		Dir:  dir,
	}, nil
}

// readBelow reads a file below a folder; links that lead out of it do not.
func readBelow(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPatch+1))
	if err == nil && len(data) > maxPatch {
		err = fmt.Errorf("larger than %d MiB, which no patch needs", maxPatch>>20)
	}
	return data, err
}

// checkPatch refuses what a patch program could be led astray with, before it
// sees it: names that leave the source, symbolic links, forms other than a
// unified difference.
func checkPatch(data []byte, strip int) error {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxPatch+1)
	old, now := 0, 0 // lines of the hunk that are still to come
	hunks, renames := 0, 0
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if old > 0 || now > 0 {
			switch {
			case strings.HasPrefix(line, "-"):
				old--
			case strings.HasPrefix(line, "+"):
				now--
			case strings.HasPrefix(line, "\\"):
			default:
				old, now = old-1, now-1
			}
			continue
		}
		err := error(nil)
		switch word, rest, _ := strings.Cut(line, " "); {
		case strings.HasPrefix(line, "@@ "):
			hunks++
			old, now, err = hunkSize(rest)
		case word == "---" || word == "+++" || word == "Index:" || word == "***":
			if err = checkPatchName(rest, strip, word != "Index:"); err == nil && word == "***" {
				err = errors.New("a context difference; make it a unified one (diff -u)")
			}
		case strings.HasPrefix(line, "diff --git "):
			for _, name := range strings.Fields(strings.TrimPrefix(rest, "--git ")) {
				if err == nil {
					err = checkPatchName(name, strip, true)
				}
			}
		case strings.HasPrefix(line, "rename ") || strings.HasPrefix(line, "copy "):
			renames++
			if _, name, ok := strings.Cut(rest, " "); ok && (strings.HasPrefix(rest, "from ") || strings.HasPrefix(rest, "to ")) {
				err = checkPatchName("a/"+name, 1, false)
			}
		case strings.HasPrefix(line, "new file mode ") || strings.HasPrefix(line, "new mode ") || strings.HasPrefix(line, "old mode ") || strings.HasPrefix(line, "deleted file mode "):
			if mode := line[strings.LastIndex(line, " ")+1:]; !strings.HasPrefix(mode, "100") {
				err = fmt.Errorf("a file of mode %.20s (a symbolic link or a submodule); make it in a step", mode)
			} else {
				renames++
			}
		case line == "GIT binary patch" || strings.HasPrefix(line, "Binary files "):
			err = errors.New("a binary difference; ship the file with the recipe and copy it in a step")
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if hunks+renames == 0 {
		return errors.New("it has no unified difference in it")
	}
	return nil
}

// hunkSize reads "-1,5 +1,6 @@".
func hunkSize(rest string) (old, now int, err error) {
	fields := strings.Fields(rest)
	if len(fields) < 3 || fields[2] != "@@" || !strings.HasPrefix(fields[0], "-") || !strings.HasPrefix(fields[1], "+") {
		return 0, 0, fmt.Errorf("%.60q does not begin a piece of a unified difference", rest)
	}
	sizes := [2]int{}
	for i, field := range fields[:2] {
		_, count, given := strings.Cut(field[1:], ",")
		sizes[i] = 1
		if given {
			if sizes[i], err = strconv.Atoi(count); err != nil || sizes[i] < 0 {
				return 0, 0, fmt.Errorf("%.60q does not say how many lines follow", rest)
			}
		}
	}
	return sizes[0], sizes[1], nil
}

// checkPatchName refuses the name of a file that is not below the source after
// its first strip folders are dropped.
func checkPatchName(text string, strip int, stamped bool) error {
	name := text
	if stamped {
		name, _, _ = strings.Cut(name, "\t") // a time may follow
	}
	if strings.HasPrefix(name, `"`) {
		unquoted, err := strconv.Unquote(strings.TrimRight(name, " "))
		if err != nil {
			return fmt.Errorf("the name %.80s is not quoted as C does", name)
		}
		name = unquoted
	}
	name = strings.TrimRight(name, " ")
	if stamped && name != text {
		name, _, _ = strings.Cut(name, " ")
	}
	if name == "/dev/null" || name == "" {
		return nil
	}
	parts := strings.Split(name, "/")
	if len(parts) > strip {
		parts = parts[strip:]
	}
	if short := strings.Join(parts, "/"); strings.HasPrefix(name, "/") && strip == 0 || !filepath.IsLocal(short) || strings.ContainsRune(name, 0) || hasDots(name) {
		return fmt.Errorf("the file %.80q leaves the source", name)
	}
	return nil
}

func hasDots(name string) bool {
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}
