package data

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// spec is the recipe by which rpmbuild packs a tree as it is: nothing is
// stripped, compressed again or looked at for dependencies.
const spec = `%%global __os_install_post %%{nil}
%%global debug_package %%{nil}
%%global _build_id_links none
%%global _missing_build_ids_terminate_build 0
%%global __check_files %%{nil}
Name: %s
Version: %s
Release: 1
Summary: %s
License: see /usr/share/doc
BuildArch: x86_64
AutoReqProv: no
%s
%%description
%s
%%install
mkdir -p %%{buildroot}
cp -a %s/. %%{buildroot}/
%%files
%%defattr(-,root,root,-)
%s
`

// rpm writes a package with rpmbuild.
func rpm(ctx context.Context, e *Entry, tree, into string) (string, error) {
	top, err := os.MkdirTemp(into, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(top)
	summary := strings.ReplaceAll(e.Summary, "%", "%%")
	requires := ""
	for _, name := range e.Requires {
		requires += "Requires: " + name + "\n"
	}
	tops, err := os.ReadDir(tree)
	if err != nil {
		return "", err
	}
	var files strings.Builder
	for _, t := range tops {
		fmt.Fprintf(&files, "/%s\n", t.Name()) // a folder stands for all that is in it
	}
	for _, c := range e.Config {
		fmt.Fprintf(&files, "%%config(noreplace) \"/%s\"\n", c)
	}
	path := filepath.Join(top, e.Name+".spec")
	text := fmt.Sprintf(spec, e.Name, e.Version, summary, requires, summary, shellQuote(tree), files.String())
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return "", err
	}
	err = run(ctx, "rpmbuild", "-bb", "--quiet", "--nodeps", "--target", "x86_64", "--define", "_topdir "+top,
		"--define", fmt.Sprintf("_binary_payload w%d.zstdio", Level), "--define", "_tmppath "+top, path)
	if err != nil {
		return "", err
	}
	built, err := only(filepath.Join(top, "RPMS/x86_64/*.rpm"))
	if err != nil {
		return "", err
	}
	file := filepath.Join(into, filepath.Base(built))
	return file, os.Rename(built, file)
}
