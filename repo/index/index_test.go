package index

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// universe makes n packages that look like a distribution's.
func universe(n int) []Entry {
	rng := rand.New(rand.NewPCG(1, 2))
	entries := make([]Entry, n)
	for i := range entries {
		e := &entries[i]
		*e = Entry{
			Name: fmt.Sprintf("package%05d", i/2), Version: fmt.Sprintf("%d.%d.%d", rng.IntN(9), rng.IntN(20), rng.IntN(20)),
			Release: uint32(1 + i%2), Arch: "x86_64", Upstream: "1.2p3", Summary: "does one thing and does it well <&>",
			Recipe: "recipe", Size: 1000 + int64(rng.IntN(1e6)), InstalledSize: int64(rng.IntN(1e7)), MetaSize: 900,
			SHA256: fmt.Sprintf("%064x", rng.Uint64()), Manifest: fmt.Sprintf("%064x", rng.Uint64()),
		}
		for range rng.IntN(12) {
			e.Requires = append(e.Requires, fmt.Sprintf("soname(lib%d.so.%d)", rng.IntN(2000), rng.IntN(9)))
			e.Provides = append(e.Provides, fmt.Sprintf("pkgconfig(lib%d) = 1.2.%d", rng.IntN(2000), rng.IntN(9)))
		}
		e.Path = e.PoolPath()
	}
	return entries
}

func mustEncode(t testing.TB, entries []Entry) []byte {
	t.Helper()
	data, _, err := Encode("stable", "x86_64", entries)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 100, 20_000} {
		entries := universe(n)
		data, plain, err := Encode("stable", "x86_64", entries)
		if err != nil {
			t.Fatal(err)
		}
		h, got, err := Decode(bytes.NewReader(data), Limits{Size: plain, Packages: n})
		if err != nil {
			t.Fatal(err)
		}
		if h != (Header{FormatVersion, "stable", "x86_64", n, plain}) {
			t.Errorf("header %+v", h)
		}
		if err := Sort(entries); err != nil {
			t.Fatal(err)
		}
		if len(got) != n || n > 0 && !reflect.DeepEqual(got, entries) {
			t.Errorf("%d entries differ after a round trip", n)
		}
		if n > 0 {
			if _, _, err := Decode(bytes.NewReader(data), Limits{Size: plain - 1}); err == nil {
				t.Error("longer than allowed, and accepted")
			}
			if _, _, err := Decode(bytes.NewReader(data), Limits{Packages: n - 1}); n > 1 && err == nil {
				t.Error("more packages than allowed, and accepted")
			}
		}
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	entries := universe(500)
	want := mustEncode(t, entries)
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	if !bytes.Equal(mustEncode(t, entries), want) {
		t.Error("another order of entries gives other bytes")
	}
}

// TestSortByVersion: 1.10 comes after 1.9, and an epoch after both.
func TestSortByVersion(t *testing.T) {
	entries := universe(4)
	for i, v := range []string{"1.10.0", "1.9.0", "0.1.0", "1.9.0"} {
		entries[i].Name, entries[i].Version = "x", v
	}
	entries[2].Epoch, entries[3].Release = 1, 7
	if err := Sort(entries); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.ID())
	}
	want := []string{"x-1.9.0-2.x86_64", "x-1.9.0-7.x86_64", "x-1.10.0-1.x86_64", "x-1:0.1.0-1.x86_64"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Entry){
		"name with slash":  func(e *Entry) { e.Name = "../x" },
		"empty name":       func(e *Entry) { e.Name = "" },
		"upper case name":  func(e *Entry) { e.Name = "Bash" },
		"version":          func(e *Entry) { e.Version = "1/2" },
		"no semver":        func(e *Entry) { e.Version = "1.2p3" },
		"release 0":        func(e *Entry) { e.Release = 0 },
		"arch":             func(e *Entry) { e.Arch = "x86/64" },
		"sha256":           func(e *Entry) { e.SHA256 = strings.ToUpper(e.SHA256[:63]) + "F" },
		"short sha256":     func(e *Entry) { e.SHA256 = e.SHA256[:40] },
		"manifest":         func(e *Entry) { e.Manifest = "" },
		"size":             func(e *Entry) { e.Size = -1 },
		"huge size":        func(e *Entry) { e.Size = 1 << 62 },
		"meta size":        func(e *Entry) { e.MetaSize = e.Size + 1 },
		"installed size":   func(e *Entry) { e.InstalledSize = -1 },
		"control in text":  func(e *Entry) { e.Summary = "\x1b[2J" },
		"newline in text":  func(e *Entry) { e.Summary = "a\nb" },
		"bad UTF-8":        func(e *Entry) { e.Recipe = "\xff" },
		"empty dependency": func(e *Entry) { e.Requires = []string{""} },
	} {
		e := universe(1)[0]
		change(&e)
		e.Path = e.PoolPath()
		if e.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	e := universe(1)[0]
	e.Path = "pool/../../etc/passwd"
	if err := e.Validate(); err == nil || !strings.Contains(err.Error(), "path") {
		t.Errorf("path elsewhere: %v", err)
	}
}

// TestDifferenceNamesEveryField: no field of an entry can differ unnoticed.
func TestDifferenceNamesEveryField(t *testing.T) {
	base := universe(1)[0]
	if field, _, _ := Difference(&base, &base); field != "" {
		t.Errorf("equal entries differ in %s", field)
	}
	typ := reflect.TypeFor[Entry]()
	for i := range typ.NumField() {
		other := base
		switch f := reflect.ValueOf(&other).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Int64:
			f.SetInt(f.Int() + 1)
		case reflect.Uint32:
			f.SetUint(f.Uint() + 1)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"other"}))
		case reflect.Bool:
			f.SetBool(!f.Bool())
		default:
			t.Fatalf("field %s of kind %s", typ.Field(i).Name, f.Kind())
		}
		want, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if field, _, _ := Difference(&base, &other); field != want {
			t.Errorf("a changed %s is reported as %q", want, field)
		}
	}
}

func compress(text string) []byte {
	z, _ := zstd.NewWriter(nil)
	defer z.Close()
	return z.EncodeAll([]byte(text), nil)
}

func TestDecodeRefuses(t *testing.T) {
	good := mustEncode(t, universe(3))
	z, _ := zstd.NewReader(nil)
	defer z.Close()
	text, err := z.DecodeAll(good, nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	header := `{"ashlar_index":1,"channel":"stable","arch":"x86_64","packages":1}` + "\n"
	for name, tc := range map[string]struct {
		data []byte
		says string
	}{
		"empty":             {nil, "header"},
		"no zstd":           {[]byte("hello, world, this is no index"), ""},
		"cut off":           {good[:len(good)-3], ""},
		"a line missing":    {compress(lines[0] + lines[1]), "states 3 packages and holds 1"},
		"a line too many":   {compress(header + lines[1] + lines[2]), "more packages"},
		"twice":             {compress(lines[0] + lines[1] + lines[1] + lines[2]), "twice"},
		"later format":      {compress(strings.Replace(string(text), `_index":1`, `_index":2`, 1)), "format 2"},
		"of another arch":   {compress(strings.Replace(string(text), `"arch":"x86_64","packages"`, `"arch":"noarch","packages"`, 1)), "does not belong"},
		"negative count":    {compress(`{"ashlar_index":1,"packages":-1}` + "\n"), "states -1"},
		"not JSON":          {compress(header + "{\n"), "line 2"},
		"one endless line":  {compress(header + strings.Repeat("x", maxLine+1)), "too long"},
		"window of 128 MiB": {bigWindow(), "window"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Decode(bytes.NewReader(tc.data), Limits{})
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

// bigWindow is a frame that asks its decoder for more memory than ours gives.
func bigWindow() []byte {
	z, _ := zstd.NewWriter(nil, zstd.WithWindowSize(128<<20), zstd.WithSingleSegment(false))
	defer z.Close()
	return z.EncodeAll(bytes.Repeat([]byte("0123456789abcdef"), 8<<20), nil)
}

// TestBomb: decoding stops at its limit, however much there is to come.
func TestBomb(t *testing.T) {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithWindowSize(maxWindow))
	if err != nil {
		t.Fatal(err)
	}
	z.Write([]byte(`{"ashlar_index":1,"channel":"stable","arch":"x86_64","packages":1000000}` + "\n"))
	e := universe(1)[0]
	for i := range 100_000 {
		e.SHA256 = fmt.Sprintf("%064x", i)
		e.Name = fmt.Sprintf("p%06d", i)
		e.Path = e.PoolPath()
		line, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(append(line, '\n'))
	}
	z.Close()
	whole := out.Len()
	_, _, err = Decode(&out, Limits{Size: 1 << 20})
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
	if out.Len() < whole/2 {
		t.Errorf("%d of %d bytes were read", whole-out.Len(), whole)
	}
}

// TestOrdinaryTools: an index is text that zstd and line tools read.
func TestOrdinaryTools(t *testing.T) {
	cmd := exec.Command("zstd", "-dc")
	cmd.Stdin = bytes.NewReader(mustEncode(t, universe(10)))
	out, err := cmd.Output()
	if err != nil || bytes.Count(out, []byte("\n")) != 11 {
		t.Errorf("%d lines, %v", bytes.Count(out, []byte("\n")), err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(mustEncode(f, universe(2)))
	f.Add(compress(`{"ashlar_index":1,"channel":"stable","arch":"x86_64","packages":1}` + "\n" + `{"name":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, entries, err := Decode(bytes.NewReader(data), Limits{Size: 1 << 20, Packages: 1000})
		if err != nil {
			return
		}
		again, _, err := Encode(h.Channel, h.Arch, entries)
		if err != nil {
			t.Fatalf("accepted what cannot be written: %v", err)
		}
		_, back, err := Decode(bytes.NewReader(again), Limits{})
		if err != nil || len(back) != len(entries) {
			t.Fatalf("%d entries became %d: %v", len(entries), len(back), err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	entries := universe(30_000)
	for b.Loop() {
		data := mustEncode(b, entries)
		b.ReportMetric(float64(len(data)), "bytes")
	}
}

func BenchmarkDecode(b *testing.B) {
	data := mustEncode(b, universe(30_000))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Decode(bytes.NewReader(data), Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
