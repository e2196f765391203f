package merge

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestThree(t *testing.T) {
	for _, c := range []struct {
		name, base, ours, theirs, want string
		conflicts                      int
	}{
		{"all equal", "a\n", "a\n", "a\n", "a\n", 0},
		{"ours only", "a\nb\n", "a\nx\n", "a\nb\n", "a\nx\n", 0},
		{"theirs only", "a\nb\n", "a\nb\n", "y\nb\n", "y\nb\n", 0},
		{"both, apart", "a\nb\nc\n", "x\nb\nc\n", "a\nb\nz\n", "x\nb\nz\n", 0},
		{"both alike", "a\nb\nc\n", "a\nx\nc\n", "a\nx\nc\nd\n", "a\nx\nc\nd\n", 0},
		{"contradiction", "a\nb\nc\n", "a\nx\nc\n", "a\ny\nc\n",
			"a\n<<<<<<< ours\nx\n||||||| base\nb\n=======\ny\n>>>>>>> theirs\nc\n", 1},
		{"changes that touch", "a\nb\n", "x\nb\n", "a\ny\n", "<<<<<<< ours\nx\nb\n||||||| base\na\nb\n=======\na\ny\n>>>>>>> theirs\n", 1},
		{"removed here, changed there", "a\nb\nc\n", "a\nc\n", "a\ny\nc\n",
			"a\n<<<<<<< ours\n||||||| base\nb\n=======\ny\n>>>>>>> theirs\nc\n", 1},
		{"nothing before", "", "a\n", "b\n", "<<<<<<< ours\na\n||||||| base\n=======\nb\n>>>>>>> theirs\n", 1},
		{"no newline at the end", "a", "b", "c", "<<<<<<< ours\nb\n||||||| base\na\n=======\nc\n>>>>>>> theirs\n", 1},
		{"a newline added", "a\nb\nc", "a\nb\nc\n", "x\nb\nc", "x\nb\nc\n", 0},
		{"one side of binaries", "a\x00", "a\x00", "b\x00", "b\x00", 0},
	} {
		got, conflicts := Three([]byte(c.base), []byte(c.ours), []byte(c.theirs))
		if string(got) != c.want || conflicts != c.conflicts {
			t.Errorf("%s: got %q with %d conflicts, want %q with %d", c.name, got, conflicts, c.want, c.conflicts)
		}
		if Marked(got) != (c.conflicts > 0) {
			t.Errorf("%s: Marked is %v", c.name, Marked(got))
		}
	}
}

func TestWhatIsNotMergedLineByLine(t *testing.T) {
	numbered := func(prefix string, n int) []byte {
		var b bytes.Buffer
		for i := range n {
			fmt.Fprintln(&b, prefix, i)
		}
		return b.Bytes()
	}
	for name, texts := range map[string][3][]byte{
		"binary":            {[]byte("a\x00\n"), []byte("b\n"), []byte("c\n")},
		"more than 1 MiB":   {nil, bytes.Repeat([]byte("a"), maxBytes+1), []byte("c\n")},
		"too many lines":    {nil, bytes.Repeat([]byte("\n"), maxLines+1), []byte("c\n")},
		"nothing in common": {numbered("a", 3000), numbered("b", 3000), numbered("c", 3000)},
	} {
		if merged, conflicts := Three(texts[0], texts[1], texts[2]); merged != nil || conflicts != 1 {
			t.Errorf("%s: %d bytes, %d conflicts", name, len(merged), conflicts)
		}
	}
}

// TestTimeIsBounded has the texts on which the algorithm is slowest.
func TestTimeIsBounded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var texts [3][]byte
	for i := range texts {
		for range maxLines {
			texts[i] = append(texts[i], byte('a'+random.IntN(2)), '\n')
		}
	}
	start := time.Now()
	Three(texts[0], texts[1], texts[2])
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// edited changes a text of distinct lines at random: such texts have one
// shortest edit script, so that all tools must agree.
func edited(random *rand.Rand, lines []string, side string) []string {
	var out []string
	for i, line := range lines {
		switch random.IntN(12) {
		case 0: // removed
		case 1:
			out = append(out, fmt.Sprintf("%s changed %d", side, i))
		case 2:
			out = append(out, line, fmt.Sprintf("%s added %d", side, i))
		case 3:
			out = append(out, fmt.Sprintf("both changed %d", i))
		default:
			out = append(out, line)
		}
	}
	return out
}

func TestAgreesWithGitAndDiff3(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(3, 4))
	clean := 0
	for range 200 {
		var lines []string
		for i := range random.IntN(30) {
			lines = append(lines, fmt.Sprint("line ", i))
		}
		base, ours, theirs := text(lines), text(edited(random, lines, "ours")), text(edited(random, lines, "theirs"))
		merged, conflicts := Three(base, ours, theirs)
		for name, content := range map[string][]byte{"base": base, "ours": ours, "theirs": theirs} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, status := run(t, dir, "git", "merge-file", "-p", "--diff3", "-L", "ours", "-L", "base", "-L", "theirs", "ours", "base", "theirs")
		if status != conflicts || !bytes.Equal(merged, want) {
			t.Fatalf("base:\n%sours:\n%stheirs:\n%sgot %d conflicts:\n%sgit merge-file has %d:\n%s", base, ours, theirs, conflicts, merged, status, want)
		}
		want, status = run(t, dir, "diff3", "-m", "-E", "ours", "base", "theirs")
		if (status != 0) != (conflicts > 0) || conflicts == 0 && !bytes.Equal(merged, want) {
			t.Fatalf("base:\n%sours:\n%stheirs:\n%sgot %d conflicts:\n%sdiff3 -m says %d:\n%s", base, ours, theirs, conflicts, merged, status, want)
		}
		if conflicts == 0 {
			clean++
		}
	}
	if clean < 20 || clean > 180 {
		t.Errorf("%d of 200 merges were clean; the edits are a poor test", clean)
	}
}

func text(lines []string) []byte {
	if len(lines) == 0 {
		return nil
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// run returns the output and the exit status of a tool.
func run(t *testing.T, dir, name string, args ...string) ([]byte, int) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+dir, "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out, cmd.ProcessState.ExitCode()
}

func FuzzThree(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("a\nc\n"), []byte("b\n"))
	f.Add([]byte("a\nb\nc\nd\na"), []byte("a\nb\nb\nd\n"), []byte("d\na"))
	f.Fuzz(func(t *testing.T, base, ours, theirs []byte) {
		merged, conflicts := Three(base, ours, theirs)
		// Sides that trade places: the same conflicts, and the same clean result.
		other, turned := Three(base, theirs, ours)
		if turned != conflicts || conflicts == 0 && !bytes.Equal(merged, other) {
			t.Fatalf("%q %q %q: %q (%d), turned around %q (%d)", base, ours, theirs, merged, conflicts, other, turned)
		}
		if conflicts > 0 && merged != nil && !Marked(merged) {
			t.Fatalf("conflicts without a marker: %q", merged)
		}
		for side, texts := range map[string][3][]byte{
			"ours": {base, ours, base}, "theirs": {base, base, theirs}, "both": {base, ours, ours},
		} {
			want := ours
			if side == "theirs" {
				want = theirs
			}
			if got, n := Three(texts[0], texts[1], texts[2]); n != 0 || !bytes.Equal(got, want) {
				t.Fatalf("%s: %q, %d conflicts, want %q", side, got, n, want)
			}
		}
		// Every line of the result comes from one of the three.
		if conflicts == 0 {
			known := map[string]bool{}
			for _, source := range [][]byte{ours, theirs} {
				for line := range bytes.Lines(source) {
					known[string(line)] = true
				}
			}
			for line := range bytes.Lines(merged) {
				if !known[string(line)] {
					t.Fatalf("line %q is from neither side", line)
				}
			}
		}
	})
}

// FuzzMatch checks that the pairs are equal lines, in order, and that no longer
// list exists (by the quadratic textbook algorithm).
func FuzzMatch(f *testing.F) {
	f.Add([]byte("abcabba"), []byte("cbabac"))
	f.Fuzz(func(t *testing.T, left, right []byte) {
		if len(left) > 200 || len(right) > 200 {
			return
		}
		a, b := make([]int32, len(left)), make([]int32, len(right))
		for i, c := range left {
			a[i] = int32(c)
		}
		for i, c := range right {
			b[i] = int32(c)
		}
		to, ok := match(a, b)
		if !ok {
			t.Fatal("gave up")
		}
		last, pairs := -1, 0
		for i, j := range to {
			if j < 0 {
				continue
			}
			if j <= last || a[i] != b[j] {
				t.Fatalf("%q %q: pair %d %d", left, right, i, j)
			}
			last, pairs = j, pairs+1
		}
		longest := make([][]int, len(a)+1)
		for i := range longest {
			longest[i] = make([]int, len(b)+1)
		}
		for i := range a {
			for j := range b {
				longest[i+1][j+1] = max(longest[i][j+1], longest[i+1][j])
				if a[i] == b[j] {
					longest[i+1][j+1] = longest[i][j] + 1
				}
			}
		}
		if pairs != longest[len(a)][len(b)] {
			t.Fatalf("%q %q: %d pairs, possible are %d", left, right, pairs, longest[len(a)][len(b)])
		}
	})
}
