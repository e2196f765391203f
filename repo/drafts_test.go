package repo_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/repo"
	"ashlar/repo/repotest"
	"ashlar/repo/tuf"
)

// The rules of drafts: what came back is used only if it is what was sent.
func TestDrafts(t *testing.T) {
	v := newVault(t)
	vaulted := v.away("targets.pem")
	key, err := repo.ReadRoleKey(filepath.Join(vaulted, "targets.pem"))
	must(t, err)
	file := repo.DraftPath(v.dir, "targets")
	other := repotest.Key(t)
	sign := func() {
		t.Helper()
		d, err := repo.OpenDraft(file)
		must(t, err)
		if used, err := d.Sign(key); err != nil || len(used) != 1 || len(d.Needs()) != 0 {
			t.Fatal(used, err, d.Needs())
		}
		must(t, d.Write(file))
	}
	allow := func() {
		t.Helper()
		must(t, v.repo.Allow(t.Context(), other.Public()))
		v.now = v.now.AddDate(0, 0, 8) // the timestamp has to be renewed, too
		if _, err := v.repo.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "waits for 1 more") {
			t.Fatalf("got %v", err)
		}
	}
	allow()
	v.follow() // what was published is fresh
	v.good()
	d, err := repo.OpenDraft(file)
	must(t, err)
	if text := strings.Join(d.Changes(), "\n"); !strings.Contains(text, "packager "+other.Fingerprint()+" may sign packages") {
		t.Errorf("it does not say what matters: %s", text)
	}
	sign()
	signed := v.read(".ashlar/signing/targets.json")
	t.Run("a changed draft does not open", func(t *testing.T) {
		for _, edit := range [][2]string{{other.Fingerprint()[:4], "0000"}, {`"role": "targets"`, `"role": "root"`}, {`"repository": "test"`, `"repository": "tess"`}, {`"packagers": "-`, `"packagers": "+`}} {
			data := bytes.Replace(signed, []byte(edit[0]), []byte(edit[1]), 1)
			if bytes.Equal(data, signed) {
				continue
			}
			path := filepath.Join(t.TempDir(), "x.json")
			must(t, os.WriteFile(path, data, 0o644))
			if d, err := repo.OpenDraft(path); err == nil && len(d.Needs()) == 0 {
				t.Errorf("%v: %+v", edit, d)
			}
		}
	})
	p := v.publish()
	if !p.Changed || len(p.Warnings) != 0 {
		t.Errorf("%+v", p)
	}
	v.follow()
	v.good()
	if _, err := os.Stat(file); err == nil {
		t.Error("the draft is still there")
	}
	t.Run("nonsense in its place", func(t *testing.T) {
		must(t, v.repo.Allow(t.Context(), repotest.Key(t).Public()))
		v.repo.Publish(t.Context())
		for _, nonsense := range [][]byte{signed, []byte("{}"), nil, []byte("null")} {
			must(t, os.WriteFile(file, nonsense, 0o644))
			if _, err := v.repo.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "something else") {
				t.Errorf("got %v", err)
			}
		}
		v.follow()
		sign()
		v.publish()
		v.follow()
		v.good()
	})
}

// Both the old and the new targets key are elsewhere: root waits with targets.
func TestRotateOfflineTargets(t *testing.T) {
	v := newVault(t)
	v.follow()
	vaulted := v.away("targets.pem")
	fresh, err := repo.NewRoleKey()
	must(t, err)
	old, err := repo.ReadRoleKey(filepath.Join(vaulted, "targets.pem"))
	must(t, err)
	v.change(v.repo.RotateKey(t.Context(), "targets", "", fresh.PublicHalf()))
	p := v.publish()
	if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "targets.json waits for 1 more") || p.Changed {
		t.Errorf("%+v", p)
	}
	v.follow()
	file := repo.DraftPath(v.dir, "targets")
	if s, err := v.repo.Status(); err != nil || len(s.Problems) != 0 || !strings.Contains(strings.Join(s.Warnings, "\n"), "targets.json waits for 1 more") {
		t.Errorf("%+v, %v", s, err)
	}
	for _, keys := range [][]*repo.RoleKey{{old}, {old, fresh}} {
		d, err := repo.OpenDraft(file)
		must(t, err)
		used, err := d.Sign(keys...)
		must(t, err)
		if len(used) != len(keys) || (len(d.Needs()) == 0) != (len(keys) == 2) {
			t.Errorf("signed with %d of %d; needs %v", len(used), len(keys), d.Needs())
		}
		must(t, d.Write(file))
	}
	v.publish()
	v.good()
	early := v.copy()
	must(t, os.Remove(filepath.Join(early, "metadata/2.root.json")))
	if _, err := v.walk(early, v.got); err != nil {
		t.Errorf("before the new root is there: %v", err)
	}
	v.follow()
	if p := v.publish(); p.Changed || len(p.Warnings) != 0 {
		t.Errorf("%+v", p)
	}
}

// Two of three, all elsewhere: signatures that come back one after the other, as
// copies of the same file, add up.
func TestSignaturesAddUp(t *testing.T) {
	v := newVault(t)
	v.change(v.repo.AddKey(t.Context(), "root", nil))
	v.change(v.repo.AddKey(t.Context(), "root", nil))
	v.change(v.repo.SetThreshold(t.Context(), "root", 2))
	v.publish()
	vaulted := v.away("root*.pem")
	v.change(v.repo.RotateKey(t.Context(), "timestamp", "", nil))
	file := repo.DraftPath(v.dir, "root")
	sent := v.read(".ashlar/signing/root.json")
	for i, name := range []string{"root-3.pem", "root.pem"} {
		key, err := repo.ReadRoleKey(filepath.Join(vaulted, name))
		must(t, err)
		mine := filepath.Join(t.TempDir(), "root.json")
		must(t, os.WriteFile(mine, sent, 0o644))
		d, err := repo.OpenDraft(mine)
		must(t, err)
		if _, err := d.Sign(key); err != nil {
			t.Fatal(err)
		}
		must(t, d.Write(mine))
		must(t, os.Rename(mine, file))
		p := v.publish()
		if waits := len(p.Warnings) == 1; waits != (i == 0) {
			t.Errorf("after %d signatures: %v", i+1, p.Warnings)
		}
		v.follow()
	}
	if root, err := repo.ReadRoot(v.dir); err != nil || root.Version != 3 {
		t.Errorf("%+v, %v", root, err)
	}
	v.good()
}

func FuzzOpenDraft(f *testing.F) {
	dir := f.TempDir()
	now := repotest.Now
	key := repotest.Key(f)
	r, at := repotest.Repository(f, repo.Settings{}, &now, key)
	repotest.Publish(f, r)
	if _, err := r.AddKey(f.Context(), "root", nil); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(repo.DraftPath(at, "root"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"ashlar_signing":1}`))
	path := filepath.Join(dir, "draft.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		must(t, os.WriteFile(path, data, 0o644))
		d, err := repo.OpenDraft(path)
		if err != nil {
			return
		}
		d.Needs()
		for _, line := range d.Changes() {
			if line != tuf.Printable(line) && len(line) < 300 {
				t.Errorf("not fit for a terminal: %q", line)
			}
		}
		if _, err := json.Marshal(d); err != nil {
			t.Error(fmt.Sprint(err))
		}
	})
}

func FuzzReadRoleKey(f *testing.F) {
	dir := f.TempDir()
	key, err := repo.NewRoleKey()
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(dir, "a.pem")
	if err := errors.Join(key.WritePrivate(path), key.WritePublic(path+".pub")); err != nil {
		f.Fatal(err)
	}
	for _, file := range []string{path, path + ".pub"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	path = filepath.Join(dir, "fuzz.pem")
	f.Fuzz(func(t *testing.T, data []byte) {
		must(t, os.WriteFile(path, data, 0o600))
		if key, err := repo.ReadRoleKey(path); err == nil && len(key.ID) != 64 {
			t.Errorf("id %q", key.ID)
		}
	})
}

func TestRoleKeyFiles(t *testing.T) {
	dir := t.TempDir()
	key, err := repo.NewRoleKey()
	must(t, err)
	private, public := filepath.Join(dir, "k.pem"), filepath.Join(dir, "k.pem.pub")
	must(t, key.WritePrivate(private))
	must(t, key.WritePublic(public))
	for file, has := range map[string]bool{private: true, public: false} {
		if read, err := repo.ReadRoleKey(file); err != nil || read.ID != key.ID || read.Private() != has {
			t.Errorf("%s: %+v, %v", file, read, err)
		}
	}
	if err := key.WritePrivate(private); !errors.Is(err, fs.ErrExist) {
		t.Errorf("overwritten: %v", err)
	}
	// What openssl makes is taken, and what is no Ed25519 key is not.
	for name, args := range map[string][]string{
		"ed25519.pem": {"genpkey", "-algorithm", "ed25519"},
		"x25519.pem":  {"genpkey", "-algorithm", "x25519"},
		"rsa.pem":     {"genpkey", "-algorithm", "rsa"},
		"ec.pem":      {"ecparam", "-name", "prime256v1", "-genkey"},
	} {
		file := filepath.Join(dir, name)
		if out, err := exec.Command("openssl", append(args, "-out", file)...).CombinedOutput(); err != nil {
			t.Fatalf("openssl: %v\n%s", err, out)
		}
		must(t, os.Chmod(file, 0o600))
		if _, err := repo.ReadRoleKey(file); (err == nil) != (name == "ed25519.pem") {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, os.Chmod(private, 0o640))
	if _, err := repo.ReadRoleKey(private); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by others: %v", err)
	}
}
