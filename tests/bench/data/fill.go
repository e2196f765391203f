package data

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Shape of the filler: with it, ten times as many files are installed.
const (
	fillerPackages = 300
	fillerFolders  = 12   // per package
	fillerTimes    = 9    // files, as a multiple of the base set's
	fillerSize     = 1000 // bytes of a file, on average
)

// fill makes the trees of the filler: small text files, all different.
func (m *maker) fill(ctx context.Context) error {
	perPackage := fillerTimes*m.Total(Base).Files/fillerPackages + 1
	m.say("making a filler of %d packages with %d files each", fillerPackages, perPackage)
	for n := range fillerPackages {
		m.Packages[Filler] = append(m.Packages[Filler], Entry{Name: fmt.Sprintf("filler-%03d", n), Version: "1.0.0",
			Summary: "files to fill a system with", Bytes: map[string]int64{}})
	}
	return m.each(ctx, Filler, func(_ context.Context, e *Entry) error {
		var number uint64
		fmt.Sscanf(e.Name, "filler-%d", &number)
		random := rand.New(rand.NewPCG(3, number))
		tree := m.unpacked(Filler, e.Name)
		top := filepath.Join(tree, "usr/share", e.Name)
		for i := range perPackage {
			dir := filepath.Join(top, fmt.Sprintf("part-%02d", i%fillerFolders))
			if i < fillerFolders {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return err
				}
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("entry-%04d.txt", i)), prose(random), 0o644); err != nil {
				return err
			}
		}
		return measure(tree, e, nil)
	})
}

// words are what the filler's text is made of.
var words = strings.Fields("a package manager reads the manifest verifies every hash links each file into the tree and flushes once before it switches")

// prose returns some text of random length.
func prose(random *rand.Rand) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%016x", random.Uint64())
	for n := random.IntN(2 * fillerSize); b.Len() < n; {
		b.WriteString(" " + words[random.IntN(len(words))])
	}
	return []byte(b.String() + "\n")
}
