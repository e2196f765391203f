package boot_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/tests/boot"
	"ashlar/tests/republish"
)

// Two machines and a mirror stand in one network, the origin in another. Both
// machines get the second release from the mirror while the origin is away, and a
// mirror that turns hostile changes nothing on them.
func TestMirrorForTwoMachines(t *testing.T) {
	if os.Getenv("ASHLAR_TEST_LIFE") == "" {
		t.Skip("takes minutes; make test-life runs it")
	}
	published, disk := built(t, "ASHLAR_REPO", "repo"), filepath.Join(built(t, "ASHLAR_DISKS", "."), "ashlar-disk.qcow2")
	program, err := pkgtool()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	second, mirror := filepath.Join(dir, "second"), filepath.Join(dir, "mirror")
	if _, err := republish.Repository(t.Context(), filepath.Join(filepath.Dir(published), "packages"), published, second, "glibc", "busybox"); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root.json")
	command(t, program, "repo", "trust", published, "-o", root)

	n := newNetwork(t)
	origin := n.name + "-origin"
	command(t, "ip", "netns", "add", origin)
	t.Cleanup(func() { exec.Command("ip", "netns", "delete", origin).Run() })
	n.ip("link add up0 type veth peer name eth0 netns " + origin)
	n.ip("addr add 192.0.2.2/24 dev up0")
	n.ip("link set up0 up")
	for _, line := range []string{"link set lo up", "addr add 192.0.2.1/24 dev eth0", "link set eth0 up"} {
		command(t, "ip", append([]string{"-n", origin}, strings.Fields(line)...)...)
	}
	n.start(origin, program, "repo", "serve", second, "--quiet", "--listen", "192.0.2.1:8080").waitFor(t, "http://192.0.2.1:8080")
	at := func(args ...string) (string, error) {
		out, err := exec.Command("ip", append([]string{"netns", "exec", n.name, program}, args...)...).CombinedOutput()
		return string(out), err
	}
	begun := time.Now()
	out, err := at("repo", "mirror", "http://192.0.2.1:8080/", mirror, "--root-file", root)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("mirrored in %.1f s: %s", time.Since(begun).Seconds(), out)
	n.ip("link set up0 down")
	if out, err := at("repo", "mirror", "http://192.0.2.1:8080/", mirror); err == nil {
		t.Fatalf("the origin is not away:\n%s", out)
	}

	port := 8080
	serve := func(t *testing.T, folder string) string {
		address := fmt.Sprintf("10.0.2.2:%d", port)
		port++
		n.start(n.name, program, "repo", "serve", folder, "--quiet", "--listen", address).waitFor(t, "http://"+address)
		return "http://" + address + "/"
	}
	good := serve(t, mirror)
	var machines []*boot.VM
	for i := range 2 {
		vm, err := boot.Start(t.Context(), boot.Options{
			QEMU: n.qemu, Memory: 512, Limit: 20 * time.Minute, Idle: 4 * time.Minute, Artifacts: artifacts(t),
			Drives: []boot.Drive{{Path: disk, Format: "qcow2", Throwaway: true, Boot: true}},
			Extra:  n.card(fmt.Sprintf("52:54:00:00:02:%02x", i), false), NetBoot: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer vm.Close()
		machines = append(machines, vm)
	}
	installed := make([]string, len(machines))
	for i, vm := range machines {
		enter(t, vm)
		connect(t, vm, good)
		run(t, vm, "pkgtool refresh && { pkgtool upgrade --yes || test $? = 7; } && pkgtool verify >/dev/null")
		installed[i] = run(t, vm, "pkgtool list")
		if !strings.Contains(installed[i], "2.36.0-2") {
			t.Errorf("machine %d has not been updated:\n%s", i, installed[i])
		}
	}

	for _, hostile := range []struct {
		name   string
		tamper func(t *testing.T) string // returns what it serves
	}{
		{"older state", func(*testing.T) string { return published }},
		{"packages", func(t *testing.T) string { return tampered(t, mirror, "pool/*/*/*tree-[0-9]*.ashlar") }},
		{"metadata", func(t *testing.T) string { return tampered(t, mirror, "metadata/*.snapshot.json") }},
		{"other keys", func(t *testing.T) string { return foreign(t, program, mirror) }},
	} {
		t.Run(hostile.name, func(t *testing.T) {
			url := serve(t, hostile.tamper(t))
			for i, vm := range machines {
				if hostile.name == "metadata" {
					run(t, vm, "rm -rf /var/lib/pkgtool/repositories /var/cache/pkgtool") // else it has no need to ask for it
				}
				connect(t, vm, url)
				output, code, err := vm.Run(t.Context(), "pkgtool refresh && pkgtool upgrade --yes && pkgtool install --yes tree")
				if err != nil {
					t.Fatal(err)
				}
				if code != 4 {
					t.Errorf("machine %d: ended with %d, and a security refusal is 4:\n%s", i, code, output)
				}
				if got := run(t, vm, "pkgtool verify >/dev/null; pkgtool list"); got != installed[i] {
					t.Errorf("machine %d has changed:\n%s", i, got)
				}
			}
		})
	}
	for _, vm := range machines {
		connect(t, vm, good)
		run(t, vm, "pkgtool refresh && { pkgtool install --yes tree || test $? = 7; } && tree --version")
		powerOff(t, vm)
	}
}

// tampered copies a repository and changes a byte of the files that match.
func tampered(t *testing.T, from, pattern string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, pattern)
	return dir
}

// foreign makes a repository of the same name and packages with other keys.
func foreign(t *testing.T, program, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	packages, err := filepath.Glob(filepath.Join(from, "pool/*/*/*tree-[0-9]*.ashlar"))
	if err != nil || len(packages) == 0 {
		t.Fatalf("no package in %s (%v)", from, err)
	}
	tree := filepath.Join(filepath.Dir(dir), "tree.ashlar")
	command(t, "cp", packages[0], tree)
	for _, args := range [][]string{
		{"key", "generate", "--name", "stranger"},
		{"repo", "init", dir, "--name", "ashlar"},
		{"pkg", "sign", tree},
		{"repo", "add", "--publish", dir, tree},
	} {
		c := exec.Command(program, args...)
		c.Env = append(os.Environ(), "ASHLAR_KEYS="+filepath.Join(filepath.Dir(dir), "keys"))
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return dir
}
