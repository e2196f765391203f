package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ashlar/iso"
	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/solver"
	"ashlar/pkgtool/version"
	"ashlar/repo"
	"ashlar/signing"
)

// mediumLifetime is for how many days signatures on a medium hold. Nobody renews
// them, and whoever could hold back newer packages by them holds the medium.
const mediumLifetime = 20 * 365

// Medium is the repository that an ISO carries.
type Medium struct {
	Folder   string `json:"folder"`
	Packages int    `json:"packages"`
}

// medium makes the repository that an ISO carries, in a folder of its own beside
// the one that is published, and returns the folder and the root to trust it by.
// It is made anew from the packages alone, at the time of the newest of
// them, so that the same packages give the same bytes.
func (r *release) medium(ctx context.Context, set *packageSet, live, tools []*pkgfile.Package) (dir string, root []byte, err error) {
	packages, err := set.carried(ctx, r.Image, live, tools)
	if err != nil {
		return "", nil, fmt.Errorf("repository on the medium: %w", err)
	}
	var files []string
	var epoch int64
	for i, b := range r.result.Packages { // in the order in which they were opened
		if p := set.opened[i]; slices.Contains(packages, p) {
			files = append(files, b.Path)
			epoch = max(epoch, p.Manifest().Provenance.Epoch)
		}
	}
	dir = filepath.Join(r.Out, "medium-"+r.Image.Name)
	r.result.Medium = &Medium{dir, len(files)}
	inputs, err := r.mediumInputs(packages, epoch)
	if err != nil {
		return "", nil, err
	}
	stamp := filepath.Join(dir, ".inputs")
	if was, err := os.ReadFile(stamp); err != nil || string(was) != inputs {
		r.Progress("publish the repository of the medium")
		if err := r.publishMedium(ctx, dir, files, time.Unix(epoch, 0)); err != nil {
			return "", nil, err
		}
		if err := durable.WriteFile(stamp, []byte(inputs), 0o644); err != nil {
			return "", nil, err
		}
	}
	trusted, err := repo.ReadRoot(dir)
	if err != nil {
		return "", nil, err
	}
	return dir, trusted.Data, nil
}

func (r *release) publishMedium(ctx context.Context, dir string, files []string, now time.Time) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	// The packages were verified when this run opened them.
	repository, err := repo.Init(ctx, dir, repo.Settings{Name: iso.MediumRepository,
		Lifetimes: repo.Lifetimes{Root: mediumLifetime, Targets: mediumLifetime, Snapshot: mediumLifetime, Timestamp: mediumLifetime},
		Packagers: []*signing.PublicKey{r.key.Public()}},
		repo.Options{Keys: r.Keys, NoUnpack: true, Now: func() time.Time { return now }})
	if err != nil {
		return err
	}
	if _, err := repository.Add(ctx, channel, files...); err != nil {
		return err
	}
	_, err = repository.Publish(ctx)
	return err
}

// mediumInputs identifies what a medium's repository is made of: packages, keys,
// and the form of what this program writes.
func (r *release) mediumInputs(packages []*pkgfile.Package, epoch int64) (string, error) {
	const form = 1
	var digests []string
	for _, p := range packages {
		digests = append(digests, p.ManifestSHA256())
	}
	slices.Sort(digests)
	text, err := json.Marshal([]any{form, epoch, r.key.Fingerprint(), digests})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// carried returns the packages of the medium's repository: those of the image,
// of its tools, and what it asks for with what that requires. Each is solved for on
// its own, because not all must fit together: beside what the image is, or else alone.
func (s *packageSet) carried(ctx context.Context, image *iso.Image, live, tools []*pkgfile.Package) ([]*pkgfile.Package, error) {
	wanted, err := image.Carried()
	if err != nil {
		return nil, err
	}
	base, err := image.Dependencies()
	if err != nil {
		return nil, err
	}
	chosen := map[*pkgfile.Package]bool{}
	for _, p := range slices.Concat(live, tools) {
		chosen[p] = true
	}
	for _, d := range wanted {
		solution, err := solver.Solve(ctx, s.universe, solver.Request{Install: append(slices.Clone(base), d), Arch: "x86_64"})
		if fault.ClassOf(err) == fault.Unsolvable {
			solution, err = solver.Solve(ctx, s.universe, solver.Request{Install: []version.Dependency{d}, Arch: "x86_64"})
		}
		if err != nil {
			return nil, err
		}
		for _, p := range solution.Installed() {
			chosen[s.byID[p.ID]] = true
		}
	}
	var packages []*pkgfile.Package
	for _, p := range s.opened {
		if chosen[p] {
			packages = append(packages, p)
		}
	}
	return packages, nil
}
