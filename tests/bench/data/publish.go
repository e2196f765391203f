package data

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ashlar/repo"
	"ashlar/signing"
)

// RepositoryName is the name of both repositories.
const RepositoryName = "bench"

// Lifetimes are long: a dataset that was made once stays good.
var Lifetimes = repo.Lifetimes{Root: 3650, Targets: 3650, Snapshot: 3650, Timestamp: 3650}

// Repository is the folder of a signed repository: of Base, which has the
// server and the filler; of Upgrade, which is its next state.
func (d *Dataset) Repository(set string) string { return d.Path("repo", set) }

// publish makes the signed repositories.
func (m *maker) publish(ctx context.Context) error {
	m.say("publishing repositories")
	keys := m.Path("keys")
	store, err := signing.OpenStore(keys)
	if err != nil {
		return err
	}
	key, err := store.Default()
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(m.Path("repo")), os.Mkdir(m.Path("repo"), 0o755)); err != nil {
		return err
	}
	r, err := repo.Init(ctx, m.Repository(Base), repo.Settings{Name: RepositoryName, Packagers: []*signing.PublicKey{key.Public()}, Lifetimes: Lifetimes}, repo.Options{Keys: keys})
	if err != nil {
		return err
	}
	if err := m.addAll(ctx, r, Base, Filler); err != nil {
		return err
	}
	if err := run(ctx, "cp", "-a", m.Repository(Base), m.Repository(Upgrade)); err != nil {
		return err
	}
	if r, err = repo.Open(m.Repository(Upgrade), repo.Options{Keys: keys}); err != nil {
		return err
	}
	return m.addAll(ctx, r, Upgrade)
}

func (m *maker) addAll(ctx context.Context, r *repo.Repository, sets ...string) error {
	for _, set := range sets {
		files, err := m.Files(set, "ashlar")
		if err != nil {
			return err
		}
		if _, err := r.Add(ctx, repo.DefaultChannel, files...); err != nil {
			return err
		}
	}
	_, err := r.Publish(ctx)
	return err
}

// Connect tells the system in root that the repository in dir is its own, and to
// trust what the repository in trusted begins with: the same or an older state of it.
func Connect(root, dir, trusted string) error {
	pinned, err := repo.ReadRoot(trusted)
	if err != nil {
		return err
	}
	config := fmt.Sprintf("schema: 1\nname: %s\nurls: [file://%s]\n", RepositoryName, dir)
	for path, text := range map[string][]byte{
		"etc/pkgtool/repositories.d/" + RepositoryName + ".yaml": []byte(config),
		"etc/pkgtool/trust/" + RepositoryName + "/root.json":     pinned.Data,
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
