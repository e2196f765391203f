package build

import (
	"strings"
	"testing"
)

// chain is a change and what it follows from, in words.
func chain(list []Change) string {
	var texts []string
	for _, c := range list {
		text := c.String()
		if c.Recipe != "" {
			text += " (" + c.Recipe + ": " + chain(c.Because) + ")"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

func (b *bench) why(name string) Explanation {
	b.t.Helper()
	all, err := b.engine().Why(b.t.Context(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, x := range all {
		if x.Recipe == name {
			return x
		}
	}
	b.t.Fatalf("nothing about %s", name)
	return Explanation{}
}

func TestWhyFollowsPackages(t *testing.T) {
	b := newBench(t)
	world := func(source, variable string) {
		b.write("base/files/text", source)
		b.recipe("base", "packages: [{name: base-dev, split: dev}]", "copy, files/text, usr/include/base.h")
		b.recipe("lib", "packages: [{name: lib-dev, split: dev}]\nbuild: {libs: [base-dev], env: {MODE: "+variable+"}}", "append, /usr/include/base.h, usr/include/lib.h")
		b.recipe("app", "build: {libs: [lib-dev]}", "append, /usr/include/lib.h, usr/share/app")
	}
	world("one", "a")
	expect(t, "before the first build", strings.Join(b.why("base").Why, ""), "first build")
	expect(t, "before the first build", strings.Join(b.why("lib").Why, ""), "it needs base, which is built first")
	b.must()
	if x := b.why("app"); !x.Cached {
		t.Errorf("%+v", x)
	}
	world("two", "b")
	b.must("lib")
	x := b.why("app")
	expect(t, "in short", strings.Join(x.Why, ""), "package lib-dev changed")
	expect(t, "in full", chain(x.Changes), "package lib-dev changed (lib: variable MODE, package base-dev changed (base: file files/text changed))")
	variable := x.Changes[0].Because[0]
	expect(t, "value", variable.From+" -> "+variable.To, "a -> b")

	last, err := b.engine().WhyLast("lib")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "the last build", chain(last), "variable MODE, package base-dev changed (base: file files/text changed)")

	b.recipe("lib", "packages: [{name: lib-dev, files: [/usr/include/lib.h]}, {name: lib-more, files: [/usr/include/more.h]}]\nbuild: {libs: [base-dev], env: {MODE: b}}",
		"append, /usr/include/base.h, usr/include/lib.h", "put, usr/include/more.h, x")
	expect(t, "steps", chain(b.why("lib").Changes), "steps")
}
