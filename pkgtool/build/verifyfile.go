package build

import (
	"context"
	"fmt"
	"io"

	"ashlar/pkgtool/build/differences"
	"ashlar/pkgtool/pkgfile"
)

// maxDescribed is how many files of a package are looked into.
const maxDescribed = 20

// explain fills in what distinguishes the packages of two caches.
func (p *VerifiedPackage) explain(ctx context.Context, first, second *Cache) error {
	if p.First == "" || p.Second == "" {
		return nil
	}
	a, err := first.openPackage(p.First)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := second.openPackage(p.Second)
	if err != nil {
		return err
	}
	defer b.Close()
	p.Difference = pkgfile.Compare(a.Manifest(), b.Manifest())
	if p.Difference.Empty() {
		p.Content = []FileDifference{{"", []string{"the same files, packed differently: a defect of pkgtool, or two versions of it"}}}
		return nil
	}
	for _, c := range p.Difference.Files {
		if c.From == nil || c.To == nil || c.From.SHA256 == c.To.SHA256 {
			continue
		}
		if len(p.Content) == maxDescribed {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		what, err := describeFile(a, b, c)
		if err != nil {
			return fmt.Errorf("/%s: %w", c.Path, err)
		}
		p.Content = append(p.Content, FileDifference{c.Path, what})
	}
	return nil
}

// describeFile says in what a file differs.
func describeFile(a, b *pkgfile.Package, c pkgfile.FileChange) ([]string, error) {
	if max(c.From.Size, c.To.Size) > differences.MaxSize {
		return []string{fmt.Sprintf("%d -> %d bytes, too long to look into", c.From.Size, c.To.Size)}, nil
	}
	old, err := contentOf(a, c.From)
	if err != nil {
		return nil, err
	}
	new, err := contentOf(b, c.To)
	if err != nil {
		return nil, err
	}
	return differences.Describe(old, new), nil
}

func contentOf(p *pkgfile.Package, f *pkgfile.File) ([]byte, error) {
	r, err := p.OpenFrameFile(f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
