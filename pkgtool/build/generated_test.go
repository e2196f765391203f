package build

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system/sysusers"

	"golang.org/x/sys/unix"
)

const service = "[Unit]\nDescription=d\n[Service]\nExecStartPre=-/usr/bin/mkdir -p /x\nExecStart=/usr/lib/s/served \\\n  --all\nUser=served\n[Install]\nWantedBy=multi-user.target\n"

func content(t *testing.T, p *pkgfile.Package, name string) string {
	t.Helper()
	f := p.Manifest().File(name)
	if f == nil {
		t.Errorf("no /%s in the package", name)
		return ""
	}
	r, err := p.OpenFrameFile(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestWhatAPackageAsksOfItsSystem packs users, tmpfiles, settings, units and
// capabilities, and gives the users to the code that installs packages.
func TestWhatAPackageAsksOfItsSystem(t *testing.T) {
	b := newBench(t)
	b.write("s/files/served.service", service)
	b.write("s/timer", "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n")
	b.write("s/tool", "a tool")
	const packages = `build: {strip: false}
packages:
  - name: s
    files: ["/usr/**"]
    users:
      - {name: served, group: net, groups: [tty], home: /var/lib/served, shell: /usr/bin/sh, comment: The server, id: 612}
      - {name: plain}
    groups: [{name: net, id: 700}, {name: more}]
    tmpfiles: ["d /run/served 0750 served net -", "L /run/s - - - - /usr/lib/s"]
    sysctl: {net.ipv4.ip_forward: "1", kernel.pid_max: "65536"}
    units: [{file: files/served.service, preset: enable}, {file: daily.timer, preset: disable}]
    modes: [{path: /usr/bin/ping, caps: cap_net_raw+ep, reason: raw sockets}, {path: /usr/bin/tool, group: net, mode: "2755", reason: r}]
    dirs: [{path: /var/lib/served, owner: served, group: net, mode: "0750"}]
`
	steps := []string{"copy, tool, usr/lib/s/served", "copy, tool, usr/bin/ping", "copy, tool, usr/bin/tool", "copy, timer, usr/lib/systemd/system/daily.timer"}
	b.recipe("s", packages, steps...)
	b.must()
	p := b.pkg("s-1.0.0-1.x86_64.ashlar")
	accounts := content(t, p, "usr/lib/sysusers.d/s.conf")
	for name, want := range map[string]string{
		"usr/lib/sysusers.d/s.conf":                 header + "g net 700\ng more -\nu served 612:net \"The server\" /var/lib/served /usr/bin/sh\nm served tty\nu plain - - - -\n",
		"usr/lib/tmpfiles.d/s.conf":                 header + "d /run/served 0750 served net -\nL /run/s - - - - /usr/lib/s\n",
		"usr/lib/sysctl.d/s.conf":                   header + "kernel.pid_max = 65536\nnet.ipv4.ip_forward = 1\n",
		"usr/lib/systemd/system-preset/50-s.preset": header + "enable served.service\ndisable daily.timer\n",
		"usr/lib/systemd/system/served.service":     service,
	} {
		expect(t, name, content(t, p, name), want)
	}
	m := p.Manifest()
	if !slices.Contains(m.Requires, "cmd(mkdir)") || slices.Contains(m.Requires, "cmd(served)") {
		t.Error("needs of the unit:", m.Requires)
	}
	if value := m.File("usr/bin/ping").Xattrs[recipe.CapabilityAttribute]; len(value) != 20 {
		t.Errorf("capabilities of ping: %x", value)
	}
	texts, _, err := sysusers.Allocate([]sysusers.Conf{{Name: "usr/lib/sysusers.d/s.conf", Text: []byte(accounts)}},
		sysusers.Texts{Passwd: []byte("root:x:0:0:root:/root:/bin/sh\n"), Group: []byte("root:x:0:\ntty:x:5:\n")})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"served:x:612:700:The server:/var/lib/served:/usr/bin/sh\n", "plain:x:"} {
		if !strings.Contains(string(texts.Passwd), want) {
			t.Errorf("passwd lacks %q:\n%s", want, texts.Passwd)
		}
	}
	if !strings.Contains(string(texts.Group), "tty:x:5:served\n") {
		t.Errorf("group:\n%s", texts.Group)
	}

	for _, c := range []struct{ from, to, want string }{
		{"daily.timer", "hourly.timer", "units: the build installs no /usr/lib/systemd/system/hourly.timer into the package s"},
		{"daily.timer, preset: disable", "daily.timer}, {file: more.timer, preset: enable", "more.timer"},
	} {
		b.recipe("s", strings.Replace(packages, c.from, c.to, 1), steps...)
		b.fails(c.want)
	}
	b.recipe("s", packages, steps[1:]...)
	b.fails("unit: /usr/lib/systemd/system/served.service starts /usr/lib/s/served, which no package has there")
	b.write("s/timer", "[Service]\nExecStart=/usr/bin/true\n")
	b.recipe("s", packages, steps...)
	b.fails("daily.timer:1: [Service] is no section of such a unit")
	b.recipe("s", packages, append(steps, "put, usr/lib/sysctl.d/s.conf, x")...)
	b.write("s/timer", "[Timer]\n")
	b.fails("sysctl: /usr/lib/sysctl.d/s.conf: the build installs this file too")
}

// TestCapabilitiesAsSetcap compares the attribute with what setcap writes.
func TestCapabilitiesAsSetcap(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("setcap is for root")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"cap_net_raw+ep", "cap_net_raw,cap_net_admin=ep", "cap_chown=i", "cap_checkpoint_restore,cap_bpf,cap_perfmon+p", "cap_setuid=eip", "cap_sys_time+ei cap_kill+ep",
	} {
		if out, err := exec.Command("setcap", text, file).CombinedOutput(); err != nil {
			t.Fatalf("setcap %s: %v\n%s", text, err, out)
		}
		want := make([]byte, 64)
		n, err := unix.Getxattr(file, recipe.CapabilityAttribute, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := recipe.ParseCaps(text)
		if err != nil || string(got) != string(want[:n]) {
			t.Errorf("%s: %x, setcap writes %x (%v)", text, got, want[:n], err)
		}
	}
}
