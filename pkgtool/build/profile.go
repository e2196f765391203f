package build

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/build/recipe"
)

// behaviour is the version of what the engine and the sandbox do to a build.
// Raising it builds everything anew.
const behaviour = 2

// Folders inside the sandbox.
const (
	buildFolder   = "/build"
	objectsFolder = "/build/objects"
	destFolder    = "/dest"
	sourcesFolder = "/sources"
	recipeFolder  = "/recipe"
)

// sourceFolder is $SRCDIR of a recipe.
func sourceFolder(r *recipe.Recipe) string {
	return buildFolder + "/" + r.Name + "-" + r.Version
}

// environment returns the variables of every step, except JOBS: how many cores
// there are is no property of a package.
func environment(r *recipe.Recipe, arch string) map[string]string {
	env := map[string]string{
		"PATH": "/usr/bin", "HOME": buildFolder, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC",
		"TERM": "dumb", "SHELL": "/usr/bin/bash", "USER": "root", "LOGNAME": "root",
		"PKG_NAME": r.Name, "PKG_VERSION": r.Version, "PKG_UPSTREAM": r.UpstreamVersion(),
		"SRCDIR": sourceFolder(r), "BUILDDIR": objectsFolder, "DESTDIR": destFolder,
		"SOURCES": sourcesFolder, "RECIPEDIR": recipeFolder,
		"SOURCE_DATE_EPOCH": strconv.FormatInt(r.EpochOf(), 10),
		"TRIPLET":           arch + "-ashlar-linux-gnu",
		"CC":                "gcc", "CXX": "g++",
		"CFLAGS":            compilerFlags,
		"CXXFLAGS":          compilerFlags,
		"LDFLAGS":           "-Wl,-rpath-link,/usr/lib -Wl,-O1 -Wl,--as-needed -Wl,-z,relro -Wl,-z,now",
		"PKG_CONFIG_LIBDIR": "/usr/lib/pkgconfig:/usr/share/pkgconfig",
		"KBUILD_BUILD_USER": "builder", "KBUILD_BUILD_HOST": "builder",
		"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PERL_HASH_SEED": "0",
	}
	for name, value := range r.Choices() {
		env["OPTION_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = value
	}
	for name, value := range r.Env() {
		if value == "" {
			delete(env, name)
			continue
		}
		env[name] = value
	}
	return env
}

const compilerFlags = "-O2 -g -pipe -fstack-protector-strong -fstack-clash-protection -fcf-protection " +
	"-D_FORTIFY_SOURCE=2 -ffile-prefix-map=/build=/usr/src/debug"

// environ turns variables into NAME=value, sorted.
func environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, fmt.Sprintf("%s=%s", name, env[name]))
	}
	return list
}
