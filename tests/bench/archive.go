package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ashlar/pkgtool/build/source"
	"ashlar/tests/bench/debian"
)

// suite is the release of Debian whose packages are the universe.
const suite = "bookworm"

// archive is Debian's universe in the forms that each tool reads.
type archive struct {
	dir      string // of everything below
	packages string // the index as Debian publishes it
	lines    string // for pkgtool solve
	solv     string // for libsolv
	aptConf  string // for APT_CONFIG: a host of nothing but this index
}

func archiveIn(dir string) *archive {
	return &archive{dir, filepath.Join(dir, "Packages"), filepath.Join(dir, "debian.jsonl"), filepath.Join(dir, "debian.solv"), filepath.Join(dir, "apt.conf")}
}

// archive fetches Debian's index, once, and makes the other forms of it.
func (b *bench) archive(ctx context.Context) (*archive, error) {
	dir := filepath.Join(b.dataDir, "debian")
	a := archiveIn(dir)
	done := filepath.Join(dir, "complete")
	if _, err := os.Stat(done); err == nil {
		return a, nil
	}
	b.say("fetching the package index of %s", suite)
	if err := remove(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := fetchIndex(ctx, a.packages); err != nil {
		return nil, err
	}
	b.say("converting it")
	if err := a.convert(); err != nil {
		return nil, err
	}
	if err := command(ctx, "sh", "-c", `deb2solv -r <"$1" >"$2"`, "sh", a.packages, a.solv); err != nil {
		return nil, err
	}
	if err := a.setUpApt(ctx); err != nil {
		return nil, err
	}
	return a, os.WriteFile(done, nil, 0o644)
}

// fetchIndex writes the verified index of the suite to path.
func fetchIndex(ctx context.Context, path string) error {
	fetcher, err := source.Host()
	if err != nil {
		return err
	}
	remote, err := source.OpenDebian(ctx, fetcher, suite)
	if err != nil {
		return err
	}
	index, err := remote.Index(ctx, "main/binary-amd64/Packages", nil)
	if err != nil {
		return err
	}
	defer index.Close()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, index); err != nil {
		return err
	}
	return f.Close()
}

// read returns the packages in our terms.
func (a *archive) read() ([]debian.Line, error) {
	f, err := os.Open(a.packages)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return debian.Convert(f)
}

func (a *archive) convert() error {
	lines, err := a.read()
	if err != nil {
		return err
	}
	f, err := os.Create(a.lines)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := debian.WriteLines(f, lines); err != nil {
		return err
	}
	return f.Close()
}

// setUpApt makes a folder in which apt sees an empty machine and the index.
func (a *archive) setUpApt(ctx context.Context) error {
	index := filepath.Join("dists", suite, "main/binary-amd64/Packages")
	content, err := os.ReadFile(a.packages)
	if err != nil {
		return err
	}
	release := fmt.Sprintf("Origin: Debian\nSuite: %s\nCodename: %s\nArchitectures: amd64\nComponents: main\nDate: Sat, 01 Jan 2022 00:00:00 UTC\nSHA256:\n %x %d main/binary-amd64/Packages\n",
		suite, suite, sha256.Sum256(content), len(content))
	err = makeFiles(a.dir, map[string]string{
		"archive/" + index:                    string(content),
		"archive/dists/" + suite + "/Release": release,
		"apt/var/lib/dpkg/status":             "",
		"apt/etc/apt/sources.list":            fmt.Sprintf("deb [trusted=yes] file:%s/archive %s main\n", a.dir, suite),
		filepath.Base(a.aptConf):              fmt.Sprintf("Dir \"%s/apt\";\nDir::State::status \"%s/apt/var/lib/dpkg/status\";\nAPT::Architecture \"amd64\";\nAPT::Architectures { \"amd64\"; };\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n", a.dir, a.dir),
	}, "apt/etc/apt/apt.conf.d", "apt/etc/apt/preferences.d", "apt/var/lib/apt/lists/partial", "apt/var/cache/apt/archives/partial", "apt/var/log/apt")
	if err != nil {
		return err
	}
	return command(ctx, "env", "APT_CONFIG="+a.aptConf, "apt-get", "-q", "update")
}
