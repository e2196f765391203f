package client_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/client"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/repotest"
)

func ids(entries []client.Entry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.ID())
	}
	return strings.Join(all, " ")
}

// TestQuestions asks a client of one repository all that there is to ask.
func TestQuestions(t *testing.T) {
	w, _ := newWorld(t)
	repotest.Publish(t, w.repo, repotest.Package(t, t.TempDir(), "bash-5.3.0-1", "x", func(m *pkgfile.Manifest) {
		m.Supplements, m.Replaces, m.Summary, m.Vendor = []string{"zlib"}, []string{"ksh"}, "A shell and its Library", "Example"
	}, w.key))
	c := w.client(w.serve(w.dir))
	if c.Len() != 0 || c.ByName("bash") != nil {
		t.Error("something is known before it is loaded")
	}
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ got, want string }{
		"packages":      {ids(c.Packages()), "bash-5.2.15-1.x86_64 bash-5.3.0-1.x86_64 zlib-1.2.13-1.x86_64"},
		"by name":       {ids(c.ByName("bash")), "bash-5.2.15-1.x86_64 bash-5.3.0-1.x86_64"},
		"not a name":    {ids(c.ByName("cmd(bash)")), ""},
		"providers":     {ids(c.Providers("cmd(zlib)")), "zlib-1.2.13-1.x86_64"},
		"own name":      {ids(c.Providers("zlib")), "zlib-1.2.13-1.x86_64"},
		"requirers":     {ids(c.Requirers("filesystem")), ids(c.Packages())},
		"replacers":     {ids(c.Replacers("ksh")), "bash-5.3.0-1.x86_64"},
		"supplementers": {ids(c.Supplementers("zlib")), "bash-5.3.0-1.x86_64"},
		"search":        {ids(c.Search("LIB")), "zlib-1.2.13-1.x86_64 bash-5.3.0-1.x86_64"},
		"two words":     {ids(c.Search("shell", "library")), "bash-5.3.0-1.x86_64"},
		"names":         {strings.Join(c.Names("", 0), " "), "bash zlib"},
		"one name":      {strings.Join(c.Names("", 1), " "), "bash"},
		"vendor":        {c.ByName("bash")[1].Vendor, "Example"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", name, test.got, test.want)
		}
	}
	if c.Len() != 3 || c.Err() != nil {
		t.Error(c.Len(), c.Err())
	}
}

// TestPriority: repositories answer in the order of their priority.
func TestPriority(t *testing.T) {
	w, older := newWorld(t)
	w.dirs.Trust = t.TempDir()
	for _, name := range []string{"low", "high"} {
		write(t, filepath.Join(w.dirs.Trust, name, "root.json"), repotest.Root(t, w.dir))
	}
	write(t, filepath.Join(w.dirs.Config, "a.yaml"), []byte("schema: 1\nname: low\nurls: [file://"+w.dir+"]\npriority: 10\n"))
	write(t, filepath.Join(w.dirs.Config, "b.yaml"), []byte("schema: 1\nname: high\nurls: [file://"+older+"]\n"))
	configs, err := client.LoadConfigs(w.dirs.Config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Open(configs, w.dirs, client.Options{Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range append(c.ByName("zlib"), c.Search("package")...) {
		got = append(got, e.Repo+":"+e.Name)
	}
	if strings.Join(got, " ") != "high:zlib low:zlib low:bash high:zlib" {
		t.Error(got)
	}
}

// TestCatalogueDamage: whatever happens to the catalogue's file, answers are
// right, from one that is made anew.
func TestCatalogueDamage(t *testing.T) {
	w, _ := newWorld(t)
	url := w.serve(w.dir)
	if _, err := w.client(url).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dirs.Cache, "catalogues", "test")
	good := read(t, path)
	for name, bad := range map[string][]byte{
		"missing":        nil,
		"empty":          {},
		"another format": append([]byte("ASHLARCT\x09"), good[9:]...),
		"cut off":        good[:len(good)-1],
		"head":           flip(good, 60),
		"keys":           flip(good, 100),
		"a record":       flip(good, len(good)-3),
	} {
		t.Run(name, func(t *testing.T) {
			os.Remove(path)
			if bad != nil {
				write(t, path, bad)
			}
			c := w.client("http://127.0.0.1:1")
			if _, err := c.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := ids(c.ByName("zlib")) + " " + ids(c.Packages()); got != "zlib-1.2.13-1.x86_64 bash-5.2.15-1.x86_64 zlib-1.2.13-1.x86_64" || c.Err() != nil {
				t.Errorf("%q, %v", got, c.Err())
			}
			if string(read(t, path)) != string(good) {
				t.Error("the file was not made anew")
			}
		})
	}
	t.Run("cut off while in use", func(t *testing.T) {
		for _, size := range []int64{0, 80} {
			c := w.client("http://127.0.0.1:1")
			if _, err := c.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
			if len(c.Search("package")) != 2 || len(c.ByName("zlib")) != 1 || len(c.Packages()) != 2 || c.Err() != nil {
				t.Error(c.Err())
			}
			if string(read(t, path)) != string(good) {
				t.Error("the file was not made anew")
			}
		}
	})
	t.Run("beyond repair", func(t *testing.T) {
		write(t, path, flip(good, len(good)-3))
		if err := os.RemoveAll(filepath.Join(w.dirs.Cache, "objects")); err != nil {
			t.Fatal(err)
		}
		w.keepKeyring()
		c := w.client("http://127.0.0.1:1")
		if _, err := c.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.Packages(); len(got) != 0 || c.Err() == nil || fault.Hints(c.Err()) == nil {
			t.Errorf("%v, %v", got, c.Err())
		}
		c = w.client(url)
		if _, err := c.Refresh(t.Context()); err != nil || len(c.Packages()) != 2 || c.Err() != nil {
			t.Errorf("refresh: %v, %v", err, c.Err())
		}
	})
	t.Run("nowhere to write", func(t *testing.T) {
		os.Remove(path)
		if err := os.Mkdir(path, 0o755); err != nil { // no file can take its place
			t.Fatal(err)
		}
		write(t, filepath.Join(path, "x"), nil)
		c := w.client("http://127.0.0.1:1")
		if _, err := c.Load(t.Context()); err != nil || len(c.Packages()) != 2 {
			t.Errorf("%v, %d packages", err, len(c.Packages()))
		}
	})
}

func flip(data []byte, at int) []byte {
	bad := append([]byte(nil), data...)
	bad[at] ^= 1
	return bad
}
