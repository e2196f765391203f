package repo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/repo"
	"ashlar/repo/repotest"
)

// TestMain lets the test binary be a publisher, such as one that gets killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("REPO_TEST_CROWD"); dir != "" {
		if err := publishForCrowd(dir, os.Getenv("REPO_TEST_PACKAGES")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv("REPO_TEST_PUBLISH"); dir != "" {
		fmt.Fprintln(os.Stderr, publishAll(dir, os.Getenv("REPO_TEST_PACKAGES")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// publishAll adds and publishes every package of a folder, one by one.
func publishAll(dir, packages string) error {
	r, err := repo.Open(dir, repo.Options{Keys: repotest.Keys(dir)})
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(packages, "*.ashlar"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := r.Add(context.Background(), repo.DefaultChannel, file); err != nil {
			return err
		}
		if _, err := r.Publish(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// TestKilledPublisher kills a publisher at moments of chance. Whatever it was
// doing, readers find a whole state and the next publisher goes on.
func TestKilledPublisher(t *testing.T) {
	now := time.Now()
	key := repotest.Key(t)
	r, dir := repotest.Repository(t, repo.Settings{}, &now, key)
	in := t.TempDir()
	repotest.Publish(t, r, repotest.Package(t, in, "p00-1.0.0-1", "x", nil, key))
	const packages = 30
	for i := 1; i < packages; i++ {
		repotest.Package(t, in, fmt.Sprintf("p%02d-1.0.0-1", i), "x", nil, key)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "REPO_TEST_PUBLISH="+dir, "REPO_TEST_PACKAGES="+in)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(5+rng.IntN(80)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if problems := check(t, dir, time.Now()); len(problems) != 0 {
			t.Fatalf("after a kill: %v", problems)
		}
	}
	before, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d packages got in between the kills", len(before), packages)
	if err := publishAll(dir, in); err != nil {
		t.Fatal(err)
	}
	list, err := r.List()
	if err != nil || len(list) != packages || !list[packages-1].Published {
		t.Errorf("%d packages, %v", len(list), err)
	}
	if problems := check(t, dir, time.Now()); len(problems) != 0 {
		t.Error(problems)
	}
	for name := range tree(t, dir) {
		if strings.HasSuffix(name, ".tmp") {
			t.Errorf("left behind: %s", name)
		}
	}
}
