package repo

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"ashlar/repo/index"
)

func example(name string) index.Entry {
	e := index.Entry{Name: name, Version: "1.2.3", Release: 1, Arch: "x86_64", Size: 10, MetaSize: 5,
		SHA256: strings.Repeat("ab", 32), Manifest: strings.Repeat("cd", 32)}
	e.Path = e.PoolPath()
	return e
}

func FuzzPending(f *testing.F) {
	a, b := example("a"), example("b")
	c := changes{}
	for _, one := range []change{{Channel: "stable", Add: &a}, {Channel: "stable", Remove: &b}, {Channel: "stable", Forget: &a}} {
		c[changeKey{one.target(), one.entry().ID()}] = one
	}
	data, err := c.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("{\"ashlar_pending\":1}\n{\"channel\":\"x\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodePending(data)
		if err != nil {
			return
		}
		again, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodePending(again)
		if err != nil || len(back) != len(c) || !reflect.DeepEqual(back.keys(), c.keys()) {
			t.Fatalf("%d changes became %d: %v", len(c), len(back), err)
		}
	})
}

func FuzzStage(f *testing.F) {
	data, err := json.Marshal(Stage{Format: 1, Name: "x", Expect: []string{"a", "b"}, Packages: []index.Entry{example("a")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeStage(data)
		if err != nil {
			return
		}
		s.Missing()
		for _, e := range s.Packages {
			if e.Path != e.PoolPath() {
				t.Fatalf("a package lies at %q", e.Path)
			}
		}
	})
}

func FuzzLock(f *testing.F) {
	f.Add([]byte(`{"ashlar_lock":1,"arch":"x86_64","packages":[{"name":"a","version":"1.0.0-1","arch":"x86_64","manifest_sha256":"` + strings.Repeat("ab", 32) + `"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		packages, err := parseLock(data)
		if err != nil {
			return
		}
		for _, p := range packages {
			if strings.ContainsAny(p.Name, "/*?[\\") || len(p.Manifest) != 64 {
				t.Fatalf("accepted %q %q", p.Name, p.Manifest)
			}
		}
	})
}
