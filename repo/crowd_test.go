package repo_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/index"
	"ashlar/repo/repotest"

	"golang.org/x/sync/errgroup"
)

// crowdRounds is how many publications the crowd reads through, one for each
// day, and crowdGrace for how many of them a state stays.
func crowdRounds() int {
	if n, err := strconv.Atoi(os.Getenv("REPO_TEST_ROUNDS")); err == nil {
		return n
	}
	return 100
}

func crowdGrace() int { return crowdRounds() * 6 / 10 }

// TestCrowdOfReaders: 200 readers in a tight loop, through 100 publications with
// as many prunes beside them, see whole states only and miss no file.
func TestCrowdOfReaders(t *testing.T) {
	readers := 200
	if testing.Short() {
		readers = 20
		t.Setenv("REPO_TEST_ROUNDS", "30")
	}
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm") // a disk would be waited for, not read from
	}
	now := repotest.Now
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	in := t.TempDir()
	for round := range crowdRounds() {
		repotest.Package(t, in, fmt.Sprintf("turn-%d.0.0-1", round+1), fmt.Sprint("content ", round), nil, key)
		repotest.Package(t, in, fmt.Sprintf("pair-%d.0.0-1", round+1), fmt.Sprint("content ", round), nil, key)
	}
	repotest.Publish(t, r, filepath.Join(in, "turn-1.0.0-1.x86_64.ashlar"), filepath.Join(in, "pair-1.0.0-1.x86_64.ashlar"))

	// The publisher is a process of its own, so that 200 readers do not starve it.
	publisher := exec.Command(os.Args[0])
	publisher.Env = append(os.Environ(), "REPO_TEST_CROWD="+dir, "REPO_TEST_PACKAGES="+in)
	var said bytes.Buffer
	publisher.Stdout, publisher.Stderr = &said, &said
	if err := publisher.Start(); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	ctx, done := context.WithCancel(t.Context())
	var reads, late atomic.Int64
	states := sync.Map{}
	for range readers {
		group.Go(func() {
			for ctx.Err() == nil {
				version, err := readState(dir)
				if err != nil && newestVersion(dir) > version+int64(crowdGrace()) {
					late.Add(1) // no state stays for ever
					continue
				}
				if err != nil {
					t.Errorf("version %d: %v", version, err)
					return
				}
				reads.Add(1)
				states.Store(version, true)
			}
		})
	}
	err := publisher.Wait()
	done()
	group.Wait()
	if err != nil {
		t.Fatalf("publisher: %v\n%s", err, &said)
	}
	seen := 0
	states.Range(func(any, any) bool { seen++; return true })
	t.Logf("%d reads of %d states, %d readers were too late; %s", reads.Load(), seen, late.Load(), &said)
	if seen < 10 || late.Load() > reads.Load()/100 {
		t.Errorf("%d states seen, %d of %d reads too late: the test shows nothing", seen, late.Load(), reads.Load())
	}
	if problems := check(t, dir, repotest.Now.AddDate(0, 0, crowdRounds())); len(problems) > 0 {
		t.Error(problems)
	}
}

// publishForCrowd adds, removes, promotes and publishes a day at a time, and prunes
// beside that.
func publishForCrowd(dir, packages string) error {
	ctx := context.Background()
	var day atomic.Int64
	clock := func() time.Time { return repotest.Now.AddDate(0, 0, int(day.Load())) }
	open := func() (*repo.Repository, error) {
		return repo.Open(dir, repo.Options{Keys: repotest.Keys(dir), Now: clock})
	}
	r, err := open()
	if err != nil {
		return err
	}
	pruner, err := open()
	if err != nil {
		return err
	}
	prunes, removed := 0, 0
	for round := 1; round < crowdRounds(); round++ {
		day.Add(1)
		var both errgroup.Group
		both.Go(func() error {
			p, err := pruner.Prune(ctx, repo.PruneOptions{Grace: time.Duration(crowdGrace()) * 24 * time.Hour, Keep: 2})
			if err == nil {
				prunes, removed = prunes+1, removed+len(p.Files)
			}
			return err
		})
		both.Go(func() error {
			var files []string
			for _, name := range []string{"turn", "pair"} {
				files = append(files, filepath.Join(packages, fmt.Sprintf("%s-%d.0.0-1.x86_64.ashlar", name, round+1)))
			}
			if _, err := r.Add(ctx, repo.DefaultChannel, files...); err != nil {
				return err
			}
			p, err := r.Publish(ctx)
			if err == nil && !p.Changed {
				err = fmt.Errorf("publication %d changed nothing", round)
			}
			return err
		})
		if err := both.Wait(); err != nil {
			return err
		}
	}
	if prunes < 10 || removed == 0 {
		return fmt.Errorf("%d prunes removed %d files", prunes, removed)
	}
	fmt.Printf("%d publications, %d prunes that removed %d files", crowdRounds(), prunes, removed)
	return nil
}

// readState reads a whole state as a client does, and proves each file by what
// the one before says of it. The packages of a state are pairs.
func readState(dir string) (version int64, err error) {
	type file struct {
		Version int64             `json:"version"`
		Length  int64             `json:"length"`
		Hashes  map[string]string `json:"hashes"`
	}
	var document struct {
		Signed struct {
			Version int64           `json:"version"`
			Meta    map[string]file `json:"meta"`
			Targets map[string]file `json:"targets"`
		} `json:"signed"`
	}
	read := func(path string, f *file) ([]byte, error) {
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return nil, err
		}
		if sum := sha256.Sum256(data); f != nil && (hex.EncodeToString(sum[:]) != f.Hashes["sha256"] || int64(len(data)) != f.Length) {
			return nil, fmt.Errorf("%s has %d bytes, not what was promised", path, len(data))
		}
		return data, nil
	}
	data, err := read(repo.TimestampPath, nil)
	for _, role := range []string{"snapshot", "targets"} {
		if err == nil {
			err = json.Unmarshal(data, &document)
		}
		if err != nil {
			return version, err
		}
		if version == 0 {
			version = document.Signed.Version
		}
		f := document.Signed.Meta[role+".json"]
		data, err = read(repo.MetadataPath(role, f.Version), &f)
	}
	if err == nil {
		err = json.Unmarshal(data, &document)
	}
	if err != nil {
		return version, err
	}
	count := map[string]int{}
	for name, f := range document.Signed.Targets {
		data, err := read(repo.TargetPath(name, f.Hashes["sha256"]), &f)
		if err != nil {
			return version, err
		}
		if filepath.Ext(name) != ".zst" {
			continue
		}
		_, entries, err := index.Decode(bytes.NewReader(data), index.Limits{})
		if err != nil {
			return version, err
		}
		for _, e := range entries {
			count[e.Name]++
			if _, err := read(e.Path, &file{Length: e.Size, Hashes: map[string]string{"sha256": e.SHA256}}); err != nil {
				return version, err
			}
		}
	}
	if count["turn"] == 0 || count["turn"] != count["pair"] {
		return version, fmt.Errorf("a mixed state: %v", count)
	}
	return version, nil
}

func newestVersion(dir string) int64 {
	p, err := repo.ReadPublished(dir)
	if err != nil {
		return 0
	}
	return p.Roles[len(p.Roles)-1].Version
}
