package version_test

import (
	"slices"
	"testing"

	"ashlar/pkgtool/version"
)

func TestNames(t *testing.T) {
	for _, text := range []string{"zlib", "zlib >=1.2 <3", "soname(libz.so.1)", "a | b >=2 || <1 | soname(x|y)", "a>=1"} {
		d, err := version.ParseDependency(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var want []string
		for a := range d.Alternatives() {
			want = append(want, a.Name)
		}
		if got := version.Names(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := version.Names("libz = 1.2.0"); !slices.Equal(got, []string{"libz"}) {
		t.Errorf("a provide: %q", got)
	}
}
