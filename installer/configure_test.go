package installer

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ashlar/pkgtool/strictyaml"
)

// fullAnswers uses every key besides those of disks.
const fullAnswers = `version: 1
system: {hostname: node1, timezone: Europe/Berlin, locale: C.UTF-8, keymap: de, root_ssh: "no"}
packages: [linux-virt, systemd]
storage:
  disk: {path: /dev/vda}
users:
  - {name: ada, groups: [wheel], password_hash: "$6$salt$abcdefghijklmnop", ssh_keys: ["ssh-ed25519 AAAAC3Nz ada@example"]}
network:
  - {name: up1, match: ens3}
  - {name: up2, mac: "52:54:00:12:34:56"}
  - {name: bond0, mtu: 9000, bond: {mode: 802.3ad, members: [up1, up2]}}
  - {name: storage, vlan: {id: 7, on: bond0}, addresses: [192.0.2.5/24], gateways: [192.0.2.1], dns: [192.0.2.53], domains: [example.org]}
services: {enable: [sshd.service], mask: [debug-shell.service]}
repositories: [{name: own, urls: ["http://192.0.2.9/"]}]
proxy: {url: "http://192.0.2.3:3128", except: [example.org, 192.0.2.0/24]}
files:
  - {path: /etc/motd, content: "hello\n"}
  - {path: /usr/local/bin/x, content: "#!/bin/sh\n", mode: "4755"}
  - {path: /etc/there, link: motd}
hooks: {before: ["true"], after: ["echo done"]}
finish: poweroff
`

func TestValidationOfTheRest(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"", "", ""},
		{"Europe/Berlin", "../etc/passwd", `timezone "../etc/passwd" has a form that none has`},
		{`root_ssh: "no"`, "root_ssh: password", "root has none; give system.root_password_hash"},
		{`root_ssh: "no"`, "root_ssh: maybe", `system.root_ssh "maybe" is not known`},
		{"name: ada", "name: Ada", `name "Ada" is not of up to 31`},
		{"ssh-ed25519 AAAAC3Nz", "secret", "is not a public key"},
		{"$6$salt$abcdefghijklmnop", "secret", "password_hash of ada is not a hash"},
		{"name: up2", "name: up1", "network[1].name up1 stands twice"},
		{"name: storage", "name: storage-network-1", "is not of 1 to 15"},
		{"52:54:00:12:34:56", "52:54", `network: up2: mac "52:54" is not a hardware address`},
		{"id: 7", "id: 4095", "network: storage: vlan.id 4095 is not from 1 to 4094"},
		{"on: bond0", "on: bond1", `vlan.on "bond1" is not a card or a bond`},
		{"members: [up1, up2]", "members: [up1, up3]", `bond.members: "up3" is not a card of the list`},
		{"match: ens3", "match: ens3, dhcp: ipv4", "up1 has addresses of its own; give them to the bond"},
		{"192.0.2.5/24", "192.0.2.5", "is not an address with the length of its prefix"},
		{"192.0.2.1]", "198.51.100.1]", "gateway 198.51.100.1 is in none of the networks"},
		{"192.0.2.53", "ns.example.org", `dns "ns.example.org" is not an address`},
		{"mtu: 9000", "mtu: 90", "mtu 90 is not from"},
		{"sshd.service", "sshd", `"sshd" is not a unit`},
		{"name: own", "name: medium", "is that of the repository on the medium"},
		{"name: own", "name: ../own", `repositories[0].name "../own" is not of`},
		{"http://192.0.2.3", "socks://192.0.2.3", "is not a URL with http or https"},
		{"path: /etc/motd", "path: /etc/../motd", "is not absolute and clean"},
		{`mode: "4755"`, `mode: "rwx"`, "is not octal"},
		{`after: ["echo done"]`, `after: [""]`, "hooks.after[0] is empty"},
		{"finish: poweroff", "finish: halt", `finish "halt" is not known; known: stay, reboot, poweroff`},
	} {
		var a Answers
		err := strictyaml.Decode("answers.yaml", []byte(strings.Replace(fullAnswers, c.from, c.to, 1)), &a)
		if err == nil {
			err = a.Validate()
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v\nwant %s", c.to, err, c.want)
		}
	}
}

// What the answers say stands in the target's files, with owner and mode.
func TestSettle(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\nwheel:x:10:\n",
		"etc/shadow": "root:!:1::::::\n", "etc/gshadow": "root:!::\nwheel:!::\n", "etc/motd": "old", "etc/environment": "A=b\n",
	} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var a Answers
	if err := strictyaml.Decode("answers.yaml", []byte(fullAnswers), &a); err != nil {
		t.Fatal(err)
	}
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	plan, err := MakePlan(&a, Disk{Path: "/dev/vda", Size: 8 << 30})
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := plan.settle(root); err != nil {
		t.Fatal(err)
	}
	const by = "# Written by the installer.\n"
	for name, want := range map[string]string{
		"etc/passwd":      "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n",
		"etc/group":       "root:x:0:\nwheel:x:10:ada\nada:x:1000:\n",
		"etc/shadow":      "root:!:1::::::\nada:$6$salt$abcdefghijklmnop:",
		"etc/motd":        "hello\n",
		"etc/there":       "hello\n",
		"etc/locale.conf": "LANG=C.UTF-8\n", "etc/vconsole.conf": "KEYMAP=de\n",
		"home/ada/.ssh/authorized_keys":             "ssh-ed25519 AAAAC3Nz ada@example\n",
		"etc/systemd/system-preset/00-image.preset": by + "enable sshd.service\ndisable debug-shell.service\n",
		"etc/systemd/network/10-up1.network":        by + "[Match]\nName=ens3\n\n[Network]\nBond=bond0\n",
		"etc/systemd/network/10-up2.network":        by + "[Match]\nMACAddress=52:54:00:12:34:56\nKind=!*\n\n[Network]\nBond=bond0\n",
		"etc/systemd/network/10-bond0.netdev":       by + "[NetDev]\nName=bond0\nKind=bond\n\n[Bond]\nMode=802.3ad\nMIIMonitorSec=100ms\n",
		"etc/systemd/network/10-bond0.network":      by + "[Match]\nName=bond0\n\n[Link]\nMTUBytes=9000\n\n[Network]\nVLAN=storage\n",
		"etc/systemd/network/10-storage.netdev":     by + "[NetDev]\nName=storage\nKind=vlan\n\n[VLAN]\nId=7\n",
		"etc/systemd/network/10-storage.network":    by + "[Match]\nName=storage\n\n[Network]\nAddress=192.0.2.5/24\nGateway=192.0.2.1\nDNS=192.0.2.53\nDomains=example.org\n",
		"etc/ssh/sshd_config.d/10-root.conf":        "PermitRootLogin no\n",
		"etc/environment":                           "A=b\nhttp_proxy=http://192.0.2.3:3128\nhttps_proxy=http://192.0.2.3:3128\nno_proxy=example.org,192.0.2.0/24\n",
		"etc/pkgtool/repositories.d/own.yaml":       by + "schema: 1\nname: own\nurls:\n- http://192.0.2.9/\n",
	} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s: %v\n%s\nwant %s", name, err, got, want)
		}
	}
	for name, want := range map[string]struct {
		mode os.FileMode
		uid  uint32
	}{
		"etc/shadow": {0o600, 0}, "home/ada": {os.ModeDir | 0o700, 1000}, "home/ada/.ssh": {os.ModeDir | 0o700, 1000},
		"home/ada/.ssh/authorized_keys": {0o600, 1000}, "usr/local/bin/x": {os.ModeSetuid | 0o755, 0}, "home": {os.ModeDir | 0o755, 0},
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want.mode || info.Sys().(*syscall.Stat_t).Uid != want.uid {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	for name, want := range map[string]string{"etc/localtime": "../usr/share/zoneinfo/Europe/Berlin", "etc/systemd/system/debug-shell.service": "/dev/null"} {
		if got, err := os.Readlink(filepath.Join(dir, name)); got != want {
			t.Errorf("%s leads to %q, %v", name, got, err)
		}
	}
}
