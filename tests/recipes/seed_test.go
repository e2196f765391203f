package recipes

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// tools are the programs of the seed: those that a broken recipe may run.
var tools = []string{"bash", "cat", "chmod", "cp", "head", "ln", "mkdir", "mkfifo", "patch", "rm", "sleep", "touch", "yes", "dd", "seq"}

// others are packages of the seed that only have a name, for recipes that ask
// for usual tools and are refused before any runs.
var others = []string{"gcc", "make", "meson", "cmake", "autoconf", "automake", "libtool"}

// libraryFolders are where this machine keeps libraries.
var libraryFolders = []string{"/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"}

const multiarch = "usr/lib/x86_64-linux-gnu/"

// writeSeed makes a Debian package of programs of this machine with their
// libraries.
func writeSeed(name string) error {
	members := map[string][]byte{}
	for _, tool := range tools {
		path, err := exec.LookPath(tool)
		if err != nil {
			return fmt.Errorf("this machine has no %s: %w", tool, err)
		}
		if err := addProgram(members, "usr/bin/"+tool, path); err != nil {
			return err
		}
	}
	// The locale in which builds run; without it bash complains.
	locale, err := filepath.Glob("/usr/lib/locale/C.utf8/*")
	if err != nil {
		return err
	}
	for _, file := range append(locale, "/usr/lib/locale/C.utf8/LC_MESSAGES/SYS_LC_MESSAGES") {
		if data, err := os.ReadFile(file); err == nil {
			members[file[1:]] = data
		}
	}
	deb, err := debian(members)
	if err != nil {
		return err
	}
	return os.WriteFile(name, deb, 0o644)
}

// addProgram adds a program or library and every library that it needs.
func addProgram(members map[string][]byte, as, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	members[as] = data
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	needed, err := file.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, lib := range append(needed, "ld-linux-x86-64.so.2") {
		if members[multiarch+lib] != nil {
			continue
		}
		found := ""
		for _, folder := range libraryFolders {
			if _, err := os.Stat(filepath.Join(folder, lib)); err == nil && found == "" {
				found = filepath.Join(folder, lib)
			}
		}
		if found == "" {
			return fmt.Errorf("%s needs %s, which is not where libraries lie", path, lib)
		}
		if err := addProgram(members, multiarch+lib, found); err != nil {
			return err
		}
	}
	return nil
}

// debian is a Debian package with these files.
func debian(members map[string][]byte) ([]byte, error) {
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for name, content := range members {
		if err := w.WriteHeader(&tar.Header{Name: "./" + name, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", nil}, {"data.tar", data.Bytes()}} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		b.Write(m.data)
		if len(m.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}

// provideSeed writes the seed's lock beside the recipes and its packages into
// the source cache, where pkgtool finds them without asking anybody.
func provideSeed(recipes, cache string) error {
	lock := "schema: 1\ndistribution: debian\nrelease: \"12\"\nsuite: bookworm\narch: amd64\nwanted: {base: []}\nwithout: []\nlayers:\n  base:\n"
	tools, err := os.ReadFile(seedFile)
	if err != nil {
		return err
	}
	packages := map[string][]byte{"bash": tools}
	order := []string{"bash"}
	for _, name := range others {
		if packages[name], err = debian(map[string][]byte{"usr/share/" + name: nil}); err != nil {
			return err
		}
		order = append(order, name)
	}
	for _, name := range order {
		sum := fmt.Sprintf("%x", sha256.Sum256(packages[name]))
		lock += fmt.Sprintf("    - {path: \"pool/main/%s_1_amd64.deb\", sha256: %q, size: %d}\n", name, sum, len(packages[name]))
		file := filepath.Join(cache, "sources/sha256", sum)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, packages[name], 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(recipes, "seed.lock"), []byte(lock), 0o644)
}
