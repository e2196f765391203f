package system

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// Commit carries the plan out. Until the journal is in place every error, and
// every crash, leaves the system as it was. From then on the change is final:
// if something goes wrong, the next call of any pkgtool command continues.
// progress may be nil; it is called with bytes written so far.
func (p *Plan) Commit(ctx context.Context, progress func(done, total int64)) error {
	s, d := p.system, p.system.disk
	if s.held == nil {
		return errors.New("commit a plan: its system is closed")
	}
	if p.next.Number != s.generation.Number+1 {
		return errors.New("commit a plan: the system has changed since it was made; plan again")
	}
	j := &journal{Format: formatVersion, From: s.generation.Number, To: p.next.Number, Operations: p.operations()}
	if err := p.prepare(ctx, j, progress); err != nil {
		return errors.Join(err, d.discard())
	}
	if err := d.moveInto(journalPath+".tmp", journalPath); err != nil { // the commit point
		return err
	}
	if err := d.complete(j); err != nil {
		return fmt.Errorf("the change is committed but not finished: %w; remove the cause and run any pkgtool command again", err)
	}
	return s.read()
}

// prepare puts everything on disk that the commit needs, and flushes it.
func (p *Plan) prepare(ctx context.Context, j *journal, progress func(done, total int64)) error {
	d := p.system.disk
	if err := p.stage(ctx, progress); err != nil {
		return err
	}
	for _, add := range p.change.Add {
		if err := d.keepManifest(add.Package); err != nil {
			return err
		}
	}
	if err := d.mkdir(fmt.Sprintf("%s/%d", generationsDir, p.next.Number), 0o755); err != nil {
		return err
	}
	data, err := p.next.encode()
	if err != nil {
		return err
	}
	if err := d.write(generationPath(p.next.Number), data); err != nil {
		return err
	}
	if data, err = encodeJSON(j); err != nil {
		return err
	}
	if err := d.write(journalPath+".tmp", data); err != nil {
		return err
	}
	if err := d.syncAll(); err != nil {
		return err
	}
	return ctx.Err()
}

// keepManifest stores a package's manifest under its hash, unless it is there.
func (d *disk) keepManifest(pkg *pkgfile.Package) error {
	path := manifestPath(pkg.ManifestSHA256())
	if data, err := d.readFile(path, maxManifest); err == nil {
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) == pkg.ManifestSHA256() {
			return nil
		}
	}
	return d.write(path, pkg.ManifestBytes())
}

// write writes a file that nothing refers to yet; flushing comes later.
func (d *disk) write(path string, data []byte) error {
	if err := d.unlink(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.create(path, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, unix.Fchmod(int(f), 0o644), f.Close())
}
