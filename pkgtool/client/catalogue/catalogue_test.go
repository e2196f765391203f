package catalogue_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/client/catalogue"
	"ashlar/repo/index"
)

var of = [32]byte{1, 2, 3}

func entry(name, version string, edit func(*index.Entry)) index.Entry {
	sum := fmt.Sprintf("%064x", len(name)*1000+len(version))
	e := index.Entry{Name: name, Version: version, Release: 1, Arch: "x86_64", Summary: "The " + name + " package",
		Size: 1000, InstalledSize: 2000, MetaSize: 100, SHA256: sum, Manifest: strings.Repeat("ab", 32)}
	if edit != nil {
		edit(&e)
	}
	e.Path = e.PoolPath()
	return e
}

// few are packages with all that there is to a relation.
func few() []index.Entry {
	return []index.Entry{
		entry("zlib", "1.3.0", func(e *index.Entry) { e.Provides = []string{"libz = 1.3.0", "soname(libz.so.1)"} }),
		entry("zlib", "1.20.0", func(e *index.Entry) { e.Provides = []string{"libz = 1.20.0"}; e.Summary = "Compression, für alle" }),
		entry("minizip", "1.0.0", func(e *index.Entry) {
			e.Requires = []string{"soname(libz.so.1)", "zlib >=1.2 | zlib-ng"}
			e.Replaces = []string{"zip <3"}
		}),
		entry("zip-doc", "3.0.0", func(e *index.Entry) { e.Supplements = []string{"minizip"}; e.Summary = "Manual of zip" }),
	}
}

func encode(t testing.TB, entries []index.Entry) []byte {
	t.Helper()
	data, err := catalogue.Encode(of, entries)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func open(t testing.TB, data []byte) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Open(data, of)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEveryField: what goes in comes out, whatever fields an entry gets.
func TestEveryField(t *testing.T) {
	e := entry("full", "1.2.3", nil)
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.IsZero() {
			continue
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString("text of " + v.Type().Field(i).Name)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"a", "list of " + v.Type().Field(i).Name}))
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint32:
			f.SetUint(1<<32 - 1)
		default:
			t.Fatalf("field %s is of a kind that this test does not fill", v.Type().Field(i).Name)
		}
	}
	e.Path = e.PoolPath()
	got, err := open(t, encode(t, []index.Entry{e})).All()
	if err != nil || !reflect.DeepEqual(got, []index.Entry{e}) {
		t.Errorf("got %+v, %v; want %+v", got, err, e)
	}
}

func TestRelated(t *testing.T) {
	c := open(t, encode(t, few()))
	for _, test := range []struct {
		name      string
		relations []catalogue.Relation
		want      string
	}{
		{"zlib", []catalogue.Relation{catalogue.Name}, "zlib-1.3.0 zlib-1.20.0"},
		{"libz", []catalogue.Relation{catalogue.Name}, ""},
		{"libz", []catalogue.Relation{catalogue.Name, catalogue.Provides}, "zlib-1.3.0 zlib-1.20.0"},
		{"soname(libz.so.1)", []catalogue.Relation{catalogue.Provides}, "zlib-1.3.0"},
		{"zlib-ng", []catalogue.Relation{catalogue.Requires}, "minizip-1.0.0"},
		{"zlib", []catalogue.Relation{catalogue.Requires}, "minizip-1.0.0"},
		{"zip", []catalogue.Relation{catalogue.Replaces}, "minizip-1.0.0"},
		{"minizip", []catalogue.Relation{catalogue.Supplements}, "zip-doc-3.0.0"},
		{"minizip", []catalogue.Relation{catalogue.Replaces}, ""},
		{"", []catalogue.Relation{catalogue.Name}, ""},
	} {
		entries, err := c.Related(test.name, test.relations...)
		var got []string
		for _, e := range entries {
			got = append(got, e.Name+"-"+e.Version)
		}
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%s %q: %q, %v; want %q", test.name, test.relations, got, err, test.want)
		}
	}
}

func TestSearchAndNames(t *testing.T) {
	c := open(t, encode(t, few()))
	for _, test := range []struct{ words, want string }{
		{"ZLIB", "zlib:0"},
		{"zip", "minizip:2 zip-doc:1"},
		{"zip manual", "zip-doc:4"},
		{"für", "zlib:3"},
		{"the zlib", ""}, // only the newest counts, and its summary is another one
		{"ackage", "minizip:4"},
		{"", "minizip:0 zip-doc:0 zlib:0"},
	} {
		hits, err := c.Search(strings.Fields(test.words))
		var got []string
		for _, h := range hits {
			got = append(got, fmt.Sprintf("%s:%d", h.Name, h.Rank))
		}
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%q: %q, %v; want %q", test.words, got, err, test.want)
		}
	}
	for _, test := range []struct {
		prefix string
		limit  int
		want   string
	}{{"z", 0, "zip-doc zlib"}, {"z", 1, "zip-doc"}, {"", 0, "minizip zip-doc zlib"}, {"q", 0, ""}} {
		names, err := c.Names(test.prefix, test.limit)
		if err != nil || strings.Join(names, " ") != test.want {
			t.Errorf("%q: %q, %v; want %q", test.prefix, names, err, test.want)
		}
	}
}

// use asks all there is to ask.
func use(data []byte, of [32]byte) error {
	c, err := catalogue.Open(data, of)
	if err != nil {
		return err
	}
	all, err := c.All()
	errs := []error{err}
	_, err = c.Search([]string{"z"})
	errs = append(errs, err)
	_, err = c.Names("z", 0)
	errs = append(errs, err)
	for _, e := range all {
		_, err := c.Related(e.Name, catalogue.Name, catalogue.Provides)
		errs = append(errs, err)
	}
	_, err = c.Related("minizip", catalogue.Requires, catalogue.Replaces, catalogue.Supplements)
	return errors.Join(append(errs, err, c.Check())...)
}

// TestDamage: no changed bit and no cut goes unnoticed.
func TestDamage(t *testing.T) {
	good := encode(t, few())
	if err := use(good, of); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if err := use(bad, of); !errors.Is(err, catalogue.ErrDamaged) {
			t.Fatalf("bit of byte %d changed: %v", i, err)
		}
		if err := use(good[:i], of); !errors.Is(err, catalogue.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if err := use(append(slices.Clone(good), 0), of); !errors.Is(err, catalogue.ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
	if err := use(good, [32]byte{}); !errors.Is(err, catalogue.ErrDamaged) {
		t.Errorf("of another index: %v", err)
	}
}

// TestManyNames: each of many names is found, and nothing else is.
func TestManyNames(t *testing.T) {
	var entries []index.Entry
	for i := range 5000 {
		entries = append(entries, entry(fmt.Sprintf("name%d", i), "1.0.0", func(e *index.Entry) {
			e.SHA256 = fmt.Sprintf("%064x", i+1)
			e.Requires = []string{"common", fmt.Sprintf("name%d", i/2)}
		}))
	}
	c := open(t, encode(t, entries))
	for i := range 5000 {
		got, err := c.Related(fmt.Sprintf("name%d", i), catalogue.Name)
		if err != nil || len(got) != 1 || got[0].SHA256 != fmt.Sprintf("%064x", i+1) {
			t.Fatalf("name%d: %v, %v", i, got, err)
		}
		if got, err := c.Related(fmt.Sprintf("other%d", i), catalogue.Name); err != nil || len(got) != 0 {
			t.Fatalf("other%d: %v, %v", i, got, err)
		}
	}
	if got, err := c.Related("common", catalogue.Requires); err != nil || len(got) != 5000 {
		t.Errorf("%d require it, %v", len(got), err)
	}
}

func TestEmpty(t *testing.T) {
	if err := use(encode(t, nil), of); err != nil {
		t.Error(err)
	}
}
