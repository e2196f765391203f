package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/iso/iso9660"
	"ashlar/iso/tree"
	"ashlar/tests/boot"
)

// built returns an image of the server. Without it the tests fail; only -short
// leaves them out, or a run that does not ask for them.
func built(t *testing.T, variable, usual string) string {
	t.Helper()
	if os.Getenv("ASHLAR_TEST_SERVER") == "" {
		t.Skip("tests of the server image, which takes an hour to build; make test-server runs them")
	}
	path := os.Getenv(variable)
	if path == "" {
		path = filepath.Join("..", "..", "build", usual)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; build it first: make test-server (or name another with %s)", err, variable)
	}
	return path
}

// machine is a running server with a way in.
type machine struct {
	*boot.VM
	t    *testing.T
	key  string // private key of root
	port int
}

// start boots a server with root's key on a NoCloud medium and waits until it
// lets us in.
func start(t *testing.T, o boot.Options) *machine {
	t.Helper()
	return startAs(t, "server1", o)
}

// startAs starts a server of this host name and waits until it lets us in.
func startAs(t *testing.T, name string, o boot.Options) *machine {
	t.Helper()
	m := beginAs(t, name, o)
	m.waitForLogin()
	t.Logf("login over SSH after %.1f s with %s", m.Elapsed().Seconds(), m.Accelerator())
	return m
}

// begin is start without the wait.
func begin(t *testing.T, o boot.Options) *machine {
	t.Helper()
	return beginAs(t, "server1", o)
}

func beginAs(t *testing.T, name string, o boot.Options) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, key: filepath.Join(dir, "key"), port: freePort(t)}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", m.key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v %s", err, out)
	}
	public, err := os.ReadFile(m.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	seed := filepath.Join(dir, "seed.iso")
	writeMedium(t, seed, "CIDATA", []tree.Entry{
		// Another key is another instance: what an installed machine was told before holds for the same one.
		text("meta-data", fmt.Sprintf("instance-id: %x\nlocal-hostname: %s\n", sha256.Sum256(public), name)),
		text("user-data", "#cloud-config\nusers:\n- name: root\n  ssh_authorized_keys: ["+strings.TrimSpace(string(public))+"]\n"),
	})
	o.Drives = append(o.Drives, boot.Drive{Path: seed, Interface: "cdrom"})
	o.Forward = append(o.Forward, boot.Forward{Host: m.port, Guest: 22})
	if o.Limit == 0 {
		o.Limit = 10 * time.Minute
	}
	o.Idle = 5 * time.Minute
	o.Artifacts, err = filepath.Abs(filepath.Join("..", "..", "build", "boot-failures", filepath.FromSlash(t.Name()), name))
	if err != nil {
		t.Fatal(err)
	}
	if m.VM, err = boot.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			m.SaveArtifacts()
		}
		m.Close()
	})
	return m
}

// waitForLogin waits until the machine lets us in.
func (m *machine) waitForLogin() {
	m.t.Helper()
	for begin := time.Now(); ; {
		out, code, err := m.ssh(20*time.Second, "true")
		if err == nil && code == 0 {
			return
		}
		if time.Since(begin) > 12*time.Minute {
			m.t.Fatalf("nobody can log in after %v: %s %v\n%s", m.Elapsed(), out, err, m.Console())
		}
		time.Sleep(time.Second)
	}
}

// restart restarts the system and waits until it lets us in again. The machine
// must have been started with Reboot.
func (m *machine) restart() {
	m.t.Helper()
	m.waitForRestart(m.run("cat /proc/sys/kernel/random/boot_id; systemctl reboot --no-block"))
}

// waitForRestart waits until the system lets us in that comes after the one with
// this boot_id.
func (m *machine) waitForRestart(before string) {
	m.t.Helper()
	for begin := time.Now(); time.Since(begin) < 5*time.Minute; time.Sleep(time.Second) {
		if id, code, err := m.ssh(20*time.Second, "cat /proc/sys/kernel/random/boot_id"); err == nil && code == 0 && strings.TrimSpace(id) != before {
			return
		}
	}
	m.t.Fatalf("the machine does not come back from a restart:\n%s", m.Console())
}

// ssh runs a script as root and returns what it printed and its status.
func (m *machine) ssh(limit time.Duration, script string) (output string, code int, err error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, "ssh", "-q", "-i", m.key, "-p", fmt.Sprint(m.port), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=10", "root@127.0.0.1", "bash -s")
	c.Stdin = strings.NewReader(script)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err = c.Run()
	if exit, ok := err.(*exec.ExitError); ok && ctx.Err() == nil {
		return out.String(), exit.ExitCode(), nil
	}
	return out.String(), 0, err
}

// run runs a script that must succeed and returns what it printed.
func (m *machine) run(script string) string {
	m.t.Helper()
	out, code, err := m.ssh(3*time.Minute, script)
	if err != nil || code != 0 {
		m.t.Fatalf("%s\nended with %d, %v:\n%s", script, code, err, out)
	}
	return strings.TrimSpace(out)
}

// writeMedium writes an ISO file system.
func writeMedium(t *testing.T, path, label string, entries []tree.Entry) {
	t.Helper()
	image, err := iso9660.New(entries, iso9660.Options{VolumeID: label})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := image.Write(t.Context(), f, nil); err != nil {
		t.Fatal(err)
	}
}

// text is a small file of a medium.
func text(name, content string) tree.Entry {
	return tree.Entry{Path: name, Perm: 0o644, Size: int64(len(content)), Open: tree.Bytes([]byte(content))}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
