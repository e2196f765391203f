package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"ashlar/iso/disk"
	"ashlar/iso/tree/treetest"
)

const userData = `#cloud-config
hostname: web.example.org
users:
  - default
  - name: alice
    gecos: Alice A
    groups: wheel, adm
    lock_passwd: false
    passwd: $6$salt$hash
    ssh_authorized_keys: [ssh-ed25519 AAAA alice]
ssh_authorized_keys: [ssh-ed25519 BBBB any]
write_files:
  - {path: /etc/app.conf, content: "a=1\n", permissions: '0600'}
  - {path: /etc/app.conf, content: Yj0yCg==, encoding: b64, append: true}
runcmd:
  - [touch, /a b]
  - echo "$HOME"
packages: [vim]
`

const networkData = `version: 2
ethernets:
  eth0:
    match: {macaddress: "52:54:00:00:00:01"}
    addresses: [192.0.2.5/24]
    gateway4: 192.0.2.1
    nameservers: {addresses: [192.0.2.53], search: [example.org]}
  eth1: {dhcp4: true}
`

func system(t *testing.T) (*setup, string, *[]string) {
	t.Helper()
	dir := t.TempDir()
	for path, text := range map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/group": "root:x:0:\nwheel:x:10:\n", "etc/shadow": "root:*:::::::\n"} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	var ran []string
	return &setup{root: root, run: func(name string, args ...string) error {
		ran = append(ran, strings.Join(append([]string{name}, args...), "|"))
		return nil
	}}, dir, &ran
}

func TestNoCloud(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: owners of homes are not checked")
	}
	s, dir, ran := system(t)
	i, err := readInstance(fstest.MapFS{"meta-data": {Data: []byte("instance-id: i-1\nlocal-hostname: other\npublic-keys: [ssh-ed25519 CCCC cloud]\n")},
		"user-data": {Data: []byte(userData)}, "network-config": {Data: []byte(networkData)}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.apply(i); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"etc/hostname": "web\n", "etc/app.conf": "a=1\nb=2\n", stateFile: "i-1\n",
		"home/alice/.ssh/authorized_keys": "ssh-ed25519 AAAA alice\nssh-ed25519 CCCC cloud\nssh-ed25519 BBBB any\n",
		"etc/systemd/network/10-cloud-eth0.network": "# Written by ashlar-firstboot from network-config.\n[Match]\nMACAddress=52:54:00:00:00:01\n\n[Network]\n" +
			"Address=192.0.2.5/24\nGateway=192.0.2.1\nDNS=192.0.2.53\nDomains=example.org\n",
		"etc/systemd/network/10-cloud-eth1.network": "# Written by ashlar-firstboot from network-config.\n[Match]\nName=eth1\n\n[Network]\nDHCP=ipv4\n",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, path)); string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
		}
	}
	shadow, _ := os.ReadFile(filepath.Join(dir, "etc/shadow"))
	group, _ := os.ReadFile(filepath.Join(dir, "etc/group"))
	passwd, _ := os.ReadFile(filepath.Join(dir, "etc/passwd"))
	if !strings.Contains(string(shadow), "alice:$6$salt$hash:") || !strings.Contains(string(group), "wheel:x:10:alice\n") || !strings.Contains(string(passwd), "alice:x:1000:1000:Alice A:/home/alice:/bin/sh") {
		t.Errorf("accounts:\n%s%s%s", passwd, group, shadow)
	}
	if want := []string{"touch|/a b", `/bin/sh|-c|echo "$HOME"`}; !slices.Equal(*ran, want) {
		t.Errorf("ran %q", *ran)
	}
	*ran = nil
	if err := s.apply(i); err != nil || len(*ran) > 0 {
		t.Errorf("the same instance was set up again: %q (%v)", *ran, err)
	}
}

func TestConfigDrive(t *testing.T) {
	s, dir, ran := system(t)
	i, err := readInstance(fstest.MapFS{"openstack/latest/meta_data.json": {Data: []byte(`{"uuid":"u","hostname":"n.local","public_keys":{"k":"ssh-rsa AAAA k"}}`)},
		"openstack/latest/user_data": {Data: []byte("#!/bin/sh\necho hi\n")}}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.apply(i); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	keys, err := os.ReadFile(filepath.Join(dir, "root/.ssh/authorized_keys"))
	if string(keys) != "ssh-rsa AAAA k\n" || !slices.Equal(*ran, []string{"/run/ashlar-firstboot-script"}) {
		t.Errorf("keys %q (%v), ran %q", keys, err, *ran)
	}
}

func TestRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"hello":                             "begins neither",
		"#cloud-config\nusers: [{name: A}]": "cannot be an account",
		"#cloud-config\nwrite_files: [{path: /x, content: y, encoding: gz}]": "encoding",
		"#cloud-config\nwrite_files: 5":                                      "write_files",
		"#cloud-config\nhostname: a/b":                                       "host name",
		"#cloud-config\ntimezone: ../../etc":                                 "time zone",
	} {
		s, _, _ := system(t)
		if err := s.apply(&instance{meta: metaData{ID: "x"}, user: []byte(text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	s, _, _ := system(t)
	if err := s.setNetwork([]byte("version: 2\nethernets: {a: {gateway4: \"x\\ny\"}}")); err == nil {
		t.Error("a line break in an address is written")
	}
}

func TestGrowTable(t *testing.T) {
	l := &disk.Layout{RootSize: 32 << 20, Boot: make([]byte, 512), Core: make([]byte, 2000), Name: "x"}
	p := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(p)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Truncate(l.Size())
	if err := l.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if root, err := growTable(f, 3, l.Size()); root != nil || err != nil {
		t.Errorf("nothing to gain: %v (%v)", root, err)
	}
	const size = 600 << 20
	f.Truncate(size)
	root, err := growTable(f, 3, size)
	if err != nil || root == nil {
		t.Fatalf("%v (%v)", root, err)
	}
	table := treetest.Tool(t, "partx", "--raw", "--noheadings", "--output", "NR,START,END", p)
	if want := fmt.Sprintf("3 %d %d", l.RootAt()/sectorSize, size/sectorSize-2048-1); !strings.Contains(table, want) {
		t.Errorf("no %q in\n%s", want, table)
	}
	if root, err := growTable(f, 2, size+1<<30); root != nil || err != nil {
		t.Errorf("a partition in the middle grew: %v (%v)", root, err)
	}
}
