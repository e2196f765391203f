package version

import (
	"strings"
	"testing"
)

func TestDependencyText(t *testing.T) {
	for text, want := range map[string]string{
		"zlib": "zlib", "zlib >=1.2 <3": "zlib >=1.2 <3", "zlib>=1.2": "zlib >=1.2", "soname(libz.so.1)": "soname(libz.so.1)",
		"pkgconfig(zlib)  >= 1.2": "pkgconfig(zlib) >=1.2", "cmd([)": "cmd([)", "gtk+3.0 *": "gtk+3.0",
		"soname(ld-linux-x86-64.so.2)": "soname(ld-linux-x86-64.so.2)", "perl(Foo::Bar)": "perl(Foo::Bar)",
		"a | b >=2 | soname(x)": "a | b >=2 | soname(x)", "a|b": "a | b", "a 1.x||>=3|b": "a 1.x || >=3 | b", "cmd(a|b) | c": "cmd(a|b) | c",
	} {
		d, err := ParseDependency(text)
		if err != nil || d.String() != want {
			t.Errorf("%q gives %q, %v; want %q", text, d, err, want)
		}
	}
	for _, text := range []string{
		"", " zlib", "Zlib", "-x", "a b", "soname(", "soname()", "soname(a b)", "soname(a", "x(y) z", "(x)", "a |", "| a", "a | | b", "a || b", "a ||| b", "a | B", strings.Repeat("a | ", 600) + "a", "zlib >=", "X(y)",
		"soname(a(b))", "soname(a)b", "a\n", "ä", "soname(\x00)",
	} {
		if d, err := ParseDependency(text); err == nil {
			t.Errorf("%q parsed as %q", text, d)
		}
	}
}

func TestForeignNames(t *testing.T) {
	for text, want := range map[string]string{
		"A": "A", "NetworkManager >=1 | B": "NetworkManager >=1 | B", "libz.so.1()(64bit)": "libz.so.1()(64bit)", "/usr/bin/env": "/usr/bin/env",
		"perl(Foo::Bar)>=2": "perl(Foo::Bar) >=2", "rtld(GNU_HASH)": "rtld(GNU_HASH)", "python:any": "python:any", "zlib >=1.2": "zlib >=1.2",
	} {
		d, err := ParseForeignDependency(text)
		if err != nil || d.String() != want {
			t.Errorf("%q gives %q, %v; want %q", text, d, err, want)
		}
	}
	for _, text := range []string{"", " ", "a(", "a)", "a)(", ">=1", "a b", "ä", "a\x00", "a,b", "a@1", "a(\x01)", strings.Repeat("a", 300)} {
		if d, err := ParseForeignDependency(text); err == nil {
			t.Errorf("%q parsed as %q", text, d)
		}
	}
	if p, err := ParseForeignProvide("Foo(1) = 2.1-3"); err != nil || p.String() != "Foo(1) = 2.1.0-3" {
		t.Errorf("%v, %v", p, err)
	}
}

func TestProvideText(t *testing.T) {
	for text, want := range map[string]string{
		"mta": "mta", "pkgconfig(zlib) = 1.2.13": "pkgconfig(zlib) = 1.2.13", "pkgconfig(x)=1.2": "pkgconfig(x) = 1.2.0",
		"a = 7": "a = 7.0.0", "a = 1:1.2.3-4": "a = 1:1.2.3-4", "a = 1.0.0-rc.1": "a = 1.0.0-rc.1",
	} {
		p, err := ParseProvide(text)
		if err != nil || p.String() != want {
			t.Errorf("%q gives %q, %v; want %q", text, p, err, want)
		}
	}
	for _, text := range []string{"", "a >=1", "a = ", "a = x", "a 1", "a = 1.2.3+x", "a = 1.2-rc.1"} {
		if p, err := ParseProvide(text); err == nil {
			t.Errorf("%q parsed as %q", text, p)
		}
	}
}

func TestSatisfiedBy(t *testing.T) {
	for _, c := range []struct {
		dependency, provide string
		want                bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "a = 1.2.3-4", true}, {"a >=1", "a", false},
		{"a >=1", "a = 1.2.3", true}, {"a >=2", "a = 1.2.3", false}, {"a =1.2.3-4", "a = 1.2.3", false},
		{"pkgconfig(zlib) >=1.2", "pkgconfig(zlib) = 1.2", true},
		{"a | b >=2", "b = 2.0.0", true}, {"a | b >=2", "b = 1.0.0", false}, {"a | b >=2", "a", true}, {"a | b", "c", false},
	} {
		d, err := ParseDependency(c.dependency)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParseProvide(c.provide)
		if err != nil {
			t.Fatal(err)
		}
		if d.SatisfiedBy(p) != c.want {
			t.Errorf("%s by %s: %v", d, p, !c.want)
		}
	}
}

func FuzzParseDependency(f *testing.F) {
	for _, s := range []string{"zlib >=1.2 <3", "soname(libz.so.1)", "cmd([)", "a = 1.2", "a=1:1.2.3-4", "a 1 || 2 | b | soname(x|y)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseDependency(text); err == nil {
			if again, err := ParseDependency(d.String()); err != nil || again.String() != d.String() {
				t.Fatalf("%q: %q, %v", text, d, err)
			}
		}
		if d, err := ParseForeignDependency(text); err == nil {
			if again, err := ParseForeignDependency(d.String()); err != nil || again.String() != d.String() {
				t.Fatalf("%q: %q, %v", text, d, err)
			}
		} else if _, err := ParseDependency(text); err == nil {
			t.Fatalf("%q is a dependency, but not one of any system", text)
		}
		if p, err := ParseProvide(text); err == nil {
			if again, err := ParseProvide(p.String()); err != nil || again.String() != p.String() {
				t.Fatalf("%q: %q, %v", text, p, err)
			}
		}
	})
}
