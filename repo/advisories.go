package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/repo/advisory"
)

// Security advisories lie one by one, as their authors wrote them, in
// .ashlar/advisories/. Publish puts all of them into one target, which clients
// read together with the indexes.

// AdvisoriesTarget is the TUF target that holds the advisories. A repository
// that never had one does not have the target.
const AdvisoriesTarget = advisoriesDir + "/osv.zst"

// MaxAdvisories is the most bytes that all advisories together may have,
// decompressed.
const MaxAdvisories = 256 << 20

func (r *Repository) advisoryPath(id string) string {
	return r.path(privateDir, "advisories", id+".json")
}

// AddAdvisories takes OSV documents in; clients see them after Publish. One
// whose identifier is known takes the place of the older one; an older one in
// place of a newer is refused. All are taken or, if one is wrong, none.
func (r *Repository) AddAdvisories(ctx context.Context, documents ...[]byte) ([]*advisory.Advisory, error) {
	unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var added []*advisory.Advisory
	for _, data := range documents {
		a, err := advisory.Parse(data)
		if err != nil {
			return nil, fault.Mark(err, fault.Usage, "")
		}
		if slices.ContainsFunc(added, func(o *advisory.Advisory) bool { return o.ID == a.ID }) {
			return nil, fault.Errorf(fault.Usage, "advisory %s is given twice", a.ID)
		}
		known, err := r.readAdvisory(a.ID)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if known != nil && known.Modified.After(a.Modified) {
			return nil, fault.Errorf(fault.Usage, "advisory %s was modified on %s; the repository has the one of %s", a.ID, a.Modified.Format("2006-01-02"), known.Modified.Format("2006-01-02"))
		}
		added = append(added, a)
	}
	if err := os.MkdirAll(r.path(privateDir, "advisories"), 0o755); err != nil {
		return nil, err
	}
	for _, a := range added {
		if err := durable.WriteFile(r.advisoryPath(a.ID), append(a.JSON(), '\n'), 0o644); err != nil {
			return nil, err
		}
	}
	return added, nil
}

// AddNewerAdvisories is AddAdvisories without those that the repository has
// already, as they are or modified later.
func (r *Repository) AddNewerAdvisories(ctx context.Context, documents ...[]byte) ([]*advisory.Advisory, error) {
	var newer [][]byte
	for _, data := range documents {
		a, err := advisory.Parse(data)
		if err != nil {
			return nil, fault.Mark(err, fault.Usage, "")
		}
		known, err := r.readAdvisory(a.ID)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if known == nil || known.Modified.Before(a.Modified) || known.Modified.Equal(a.Modified) && !bytes.Equal(known.JSON(), a.JSON()) {
			newer = append(newer, data)
		}
	}
	if len(newer) == 0 {
		return nil, nil
	}
	return r.AddAdvisories(ctx, newer...)
}

// RemoveAdvisory takes an advisory out, with the next Publish. One that turned
// out wrong is better added again with the field withdrawn.
func (r *Repository) RemoveAdvisory(ctx context.Context, id string) error {
	unlock, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if filepath.Base(id) != id {
		return fault.Errorf(fault.Usage, "%q is no advisory's identifier", id)
	}
	err = os.Remove(r.advisoryPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Errorf(fault.Failed, "repository %s has no advisory %s", r.Name(), id)
	}
	if err != nil {
		return err
	}
	return durable.SyncDir(r.path(privateDir, "advisories"))
}

// Advisories returns all advisories, published or not, by identifier.
func (r *Repository) Advisories() ([]*advisory.Advisory, error) {
	files, err := os.ReadDir(r.path(privateDir, "advisories"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []*advisory.Advisory
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok || strings.HasPrefix(id, ".") {
			continue // a temporary file of a publisher that was killed
		}
		a, err := r.readAdvisory(id)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func (r *Repository) readAdvisory(id string) (*advisory.Advisory, error) {
	data, err := os.ReadFile(r.advisoryPath(id))
	if err != nil {
		return nil, err
	}
	a, err := advisory.Parse(data)
	if err == nil && a.ID != id {
		err = fmt.Errorf("it is advisory %s", a.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.advisoryPath(id), err)
	}
	return a, nil
}
