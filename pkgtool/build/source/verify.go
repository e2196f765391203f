package source

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// CacheReport is what VerifyCache found.
type CacheReport struct {
	Schema  int      `json:"schema"`
	Files   int      `json:"files"`
	Size    int64    `json:"size"`    // bytes
	Damaged []string `json:"damaged"` // paths whose content is not what their name says
}

// VerifyCache reads every file that the cache keeps by SHA-256 again. Go
// modules, kept by their h1 sum, are checked whenever they are used.
func (f *Fetcher) VerifyCache(ctx context.Context) (*CacheReport, error) {
	report := &CacheReport{Schema: 1, Damaged: []string{}}
	dir := filepath.Join(f.CacheDir, "sources", "sha256")
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return report, nil
	}
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		path := filepath.Join(dir, n.Name())
		s := Source{SHA256: n.Name()}
		if !validSHA256(s.SHA256) {
			report.Damaged = append(report.Damaged, path)
			continue
		}
		if err := f.verify(ctx, s, path); ctx.Err() != nil {
			return nil, ctx.Err()
		} else if err != nil {
			report.Damaged = append(report.Damaged, path)
		}
		if info, err := n.Info(); err == nil {
			report.Size += info.Size()
		}
		report.Files++
	}
	return report, nil
}
