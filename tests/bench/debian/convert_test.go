package debian

import (
	"bytes"
	"strings"
	"testing"

	"ashlar/pkgtool/solver/cases"
)

const index = `Package: app
Version: 2:1.0-1
Architecture: amd64
Depends: lib (>= 1.0~rc1), perl:any, mta | lib (<< 0.5)
Pre-Depends: core:amd64 (= 1-1), other:i386
Recommends: app-doc
Conflicts: mta
Breaks: lib (<< 0.9)
Replaces: lib (<< 0.9)
Description: An application
 with more text

Package: lib
Version: 1.0-1
Architecture: amd64
Provides: mta, codec (= 3-1)
Multi-Arch: same

Package: perl
Version: 5.36.0-7
Architecture: all
Multi-Arch: allowed
`

// golden is what the index means to our solver.
const golden = `{"name":"app","version":"1.0.0","release":1,"arch":"x86_64","repo":"debian","requires":["any(perl)","core =1.0.0","foreign(other)","lib >=3.0.0","mta | lib <1.0.0"],"conflicts":["lib <2.0.0","mta"],"recommends":["app-doc"]}
{"name":"lib","version":"4.0.0","release":1,"arch":"x86_64","repo":"debian","provides":["codec = 1.0.0","mta"]}
{"name":"perl","version":"1.0.0","release":1,"arch":"noarch","repo":"debian","provides":["any(perl) = 1.0.0"]}
`

func TestConvert(t *testing.T) {
	lines, err := Convert(strings.NewReader(index))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := WriteLines(&got, lines); err != nil {
		t.Fatal(err)
	}
	if got.String() != golden {
		t.Errorf("got\n%s\nwant\n%s", got.String(), golden)
	}
	packages, err := cases.ReadUniverse(&got)
	if err != nil || len(packages) != 3 {
		t.Errorf("the solver reads %d packages of 3: %v", len(packages), err)
	}
	if lines[0].Summary != "An application" || lines[0].Debian != "2:1.0-1" {
		t.Errorf("got %q and %q", lines[0].Summary, lines[0].Debian)
	}
}

func TestPlaceAndRetarget(t *testing.T) {
	for member, want := range map[string]string{"./bin/sh": "usr/bin/sh", "./usr/bin/x": "usr/bin/x", "./lib": "usr/lib", "./etc/../bin/a": "usr/bin/a",
		"./": "", "../../etc/passwd": "etc/passwd", "./library/x": "library/x"} {
		if got := Place(member); got != want {
			t.Errorf("%s goes to %q, want %q", member, got, want)
		}
	}
	for _, c := range []struct{ member, target, want string }{
		{"./lib/x/a.so", "a.so.1", "/usr/lib/x/a.so.1"},
		{"./lib/x/a.so", "../../usr/lib/b.so", "/usr/lib/b.so"},
		{"./bin/sh", "/bin/dash", "/bin/dash"},
		{"./usr/bin/sh", "dash", "dash"},
	} {
		if got := retarget(c.member, Place(c.member), c.target); got != c.want {
			t.Errorf("%s -> %s becomes %s, want %s", c.member, c.target, got, c.want)
		}
	}
}
