package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"ashlar/pkgtool/pkgfile"

	"golang.org/x/sys/unix"
)

// errChanged says that a plan was made for another generation.
var errChanged = errors.New("commit a plan: the system has changed since it was made; plan again")

// Commit carries the plan out, after locking the system if that was not done.
// Until the journal is in place every error, and every crash, leaves the system
// as it was. From then on the change is final: if something goes wrong, the next
// call of any pkgtool command continues. progress may be nil; it is called, from
// several goroutines, with bytes written so far.
func (p *Plan) Commit(ctx context.Context, progress func(done, total int64)) error {
	s := p.system
	if err := s.Lock(p.next.Command); err != nil {
		return err
	}
	if s.generation.identity != p.from.identity || s.generation.Number != p.from.Number {
		return errChanged
	}
	if err := p.probe(ctx); err != nil {
		return tellRoom(err)
	}
	j := &journal{Format: formatVersion, From: p.from.Number, To: p.next.Number}
	if err := p.prepare(ctx, j, progress); err != nil {
		return tellRoom(errors.Join(err, s.discard()))
	}
	if err := s.disk.moveInto(journalPath+".tmp", journalPath); err != nil { // the commit point
		return err
	}
	s.known[p.next.identity] = p.next
	s.owned, s.ownedOf = p.after, p.next.contentHash()
	if err := s.complete(j); err != nil {
		return fmt.Errorf("the change is committed but not finished: %w; remove the cause and run any pkgtool command again", err)
	}
	if err := s.read(); err != nil {
		return err
	}
	p.firstSpare(ctx)
	if err := s.dropStaged(); err != nil {
		return err
	}
	return s.switchLoader(ctx, s.generation)
}

// probe plans again, in place, if it turns out that folders cannot be exchanged
// here.
func (p *Plan) probe(ctx context.Context) error {
	if p.InPlace {
		return nil
	}
	possible, err := p.system.canExchange()
	if err != nil || possible {
		return err
	}
	p.system.inPlace = true
	again, err := p.system.plan(ctx, p.target, p.restore)
	if err == nil {
		*p = *again
	}
	return err
}

// prepare puts everything on disk that the commit needs, and flushes it.
func (p *Plan) prepare(ctx context.Context, j *journal, progress func(done, total int64)) error {
	s, d := p.system, p.system.disk
	if err := p.makeRoom(); err != nil {
		return err
	}
	if err := d.newStaging(); err != nil {
		return err
	}
	if err := s.store.Begin(); err != nil {
		return err
	}
	steps := []func(context.Context) error{
		func(context.Context) error { return p.mergeConfigs() },
		p.settle,
		func(ctx context.Context) error { return p.fill(ctx, progress) },
		func(context.Context) error { return errors.Join(p.putAccounts(), p.ownFolders()) },
		func(ctx context.Context) error {
			if p.InPlace {
				return nil
			}
			return p.bringSpare(ctx)
		},
		p.stage, p.runTriggers, p.finishTree, p.stage, p.keepRecords, p.prepareLoader,
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	j.Operations = p.operations()
	data, err := j.encode()
	if err != nil {
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

// settle gives all owners their numbers.
func (p *Plan) settle(context.Context) error {
	if p.unsettled {
		if err := p.settleAccounts(); err != nil {
			return err
		}
	}
	if err := p.checkOwners(); err != nil {
		return err
	}
	p.owners.note(p.next, p.live.come)
	return nil
}

// finishTree names the generation that the new tree is. Everything that the
// generation says is known now.
func (p *Plan) finishTree(context.Context) error {
	if _, err := p.next.encode(); err != nil {
		return err
	}
	if !p.InPlace {
		if err := p.system.disk.identify(spareRoot, p.next.identity); err != nil {
			return err
		}
		p.tree = slices.Insert(p.tree, 0, operation{Do: doExchange, Path: treeTop, From: spareRoot + "/" + treeTop, Tree: p.next.identity})
		return nil
	}
	if err := p.makeFolder(identityDir); err != nil {
		return err
	}
	p.putText(identityPath, []byte(p.next.identity+"\n"), &unix.Stat_t{Mode: 0o644})
	if !privileged {
		p.staged[len(p.staged)-1].like.Uid, p.staged[len(p.staged)-1].like.Gid = myIDs()
	}
	if err := p.ownFolders(); err != nil {
		return err
	}
	return p.keepTimes()
}

// keepTimes lets the folders that only we have changed keep the time by which
// we know them, when files are replaced in place.
func (p *Plan) keepTimes() error {
	folders := map[string]bool{}
	for _, o := range slices.Concat(p.tree, p.early, p.mkdirs, p.moves, p.late) {
		if inTree(o.Path) {
			folders[folderOf(o.Path)] = true
			if o.Do == doMkdir {
				folders[o.Path] = true
			}
		}
	}
	delete(folders, "")
	for _, path := range sortedKeys(folders) {
		st, err := p.system.disk.lstat(path)
		if err != nil {
			return err
		}
		if st == nil || !isFolder(st) || st.Mtim.Sec == treeTime {
			p.times = append(p.times, operation{Do: doTime, Path: path})
		}
	}
	return nil
}

// keepRecords writes what the generation consists of.
func (p *Plan) keepRecords(context.Context) error {
	d, number := p.system.disk, p.next.Number
	for _, m := range p.live.coming {
		if m.content == nil {
			continue
		}
		if err := d.keepManifest(m.content); err != nil {
			return err
		}
	}
	if p.generated != nil {
		if err := d.write(manifestPath(p.next.Generated), p.generated); err != nil {
			return err
		}
	}
	if err := d.mkdir(generationDir(number), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	record, err := p.next.encode()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		generationPath(number): record,
		indexPath(number):      p.after.data,
		foldersPath(number):    p.after.folders.encode(p.next.contentHash()),
	}
	if len(p.bases.Bases) > 0 {
		if files[configPath(number)], err = encodeJSON(p.bases); err != nil {
			return err
		}
	}
	for _, path := range sortedKeys(files) {
		if err := d.write(path, files[path]); err != nil {
			return err
		}
	}
	return nil
}

// keepManifest stores a package's manifest under its hash, unless it is there.
func (d *disk) keepManifest(pkg *pkgfile.Package) error {
	path := manifestPath(pkg.ManifestSHA256())
	if data, err := d.readFile(path, maxManifest); err == nil && hexSum(data) == pkg.ManifestSHA256() {
		return nil
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
