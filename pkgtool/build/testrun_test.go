package build

import "testing"

// TestTestsSeeWhatIsInstalled: a test has the packages it names with what they
// need, and nothing else; it is tried again only when they change.
func TestTestsSeeWhatIsInstalled(t *testing.T) {
	b := newBench(t)
	lib := func(content string) {
		b.recipe("lib", "packages: [{name: lib, files: [/usr/share/lib]}, {name: lib-dev, split: dev}]", "put, usr/share/lib, "+content, "put, usr/include/lib.h, x")
	}
	app := func(run string) {
		b.recipe("app", "build: {libs: [lib-dev]}\npackages: [{name: app, files: [/usr/bin/app], depends: [lib]}, {name: app-doc, split: doc}]\n"+
			"test: [{name: runs, run: "+run+"}]", "put, usr/bin/app, x", "put, usr/share/doc/app/a, x")
	}
	lib("one")
	app("want /usr/bin/app /usr/share/lib /recipe -/usr/include/lib.h -/usr/share/doc/app/a -/dest -/build/app-1.0.0")
	b.must()
	expect(t, "tested", b.told(Testing), "app")
	b.must()
	expect(t, "tested again", b.told(Testing), "")
	lib("two")
	built, _ := b.must()
	expect(t, "built", built, "lib")
	expect(t, "tested with the new library", b.told(Testing), "app")

	app("fail")
	b.fails("app: test: runs failed with exit status 1", "the compiler says no", "app-")
	expect(t, "compiled again for another test", b.told(Started), "")
	b.fails("test: runs failed") // a failure is not remembered
	b.setUp = func(e *Engine) { e.NoTests = true }
	b.must()
}

func TestTestsOfOtherPackages(t *testing.T) {
	b := newBench(t)
	b.recipe("lib", "test: [{packages: [lib, app], run: want}]", "put, usr/share/lib, x")
	b.recipe("app", "packages: [{name: app, files: [/**], depends: [lib]}]", "put, usr/share/app, x")
	if _, err := b.build("lib"); err != nil {
		t.Fatal(err)
	}
	b.recipe("app", "build: {libs: [lib]}", "put, usr/share/app, x")
	b.fails("recipes need each other in a circle")
	b.recipe("lib", "test: [{packages: [lib, ap], run: want}]", "put, usr/share/lib, x")
	b.fails(`no recipe makes a package "ap" that a test installs; did you mean "app"?`)
}
