package recipe

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMistakesInWhatIsAskedOfASystem replaces a line of a package.
func TestMistakesInWhatIsAskedOfASystem(t *testing.T) {
	const service = "[Unit]\nDescription=d\n[Service]\nExecStart=/usr/bin/a\n"
	for _, c := range []struct{ name, line, want string }{
		{"fine", "users: [{name: a, home: /var/lib/a}]\n    dirs: [{path: /var/lib/a, owner: a, group: tty}]\n    units: [{file: files/a.service, preset: disable}]", ""},
		{"user's name", "users: [{name: Ä}]", `recipe.yaml:23:14: "Ä" is not the name of a user or group`},
		{"user's number", "users: [{name: a, id: 1000}]", "1000 is not from 1 to 999"},
		{"user's home", "users: [{name: a, home: lib}]", `"lib" is not a clean absolute path`},
		{"user's comment", `users: [{name: a, comment: "a:b"}]`, "a comment has no colon"},
		{"user's group", "users: [{name: a, group: b}]", `account: no package of this recipe has the group "b"`},
		{"owner", "dirs: [{path: /var/a, owner: a}]", `account: no package of this recipe has the user "a"; add it under users`},
		{"group's name", "groups: [{name: '-a'}]", "is not the name of a user or group"},
		{"type of tmpfiles", "tmpfiles: ['dir /run/a']", `"dir" is no type of tmpfiles.d`},
		{"path of tmpfiles", "tmpfiles: ['d run/a']", `"run/a" is not an absolute path`},
		{"root of tmpfiles", "tmpfiles: ['R /']", `"/" is not an absolute path`},
		{"mode of tmpfiles", "tmpfiles: ['d /run/a rwx']", `mode "rwx" is not octal digits`},
		{"owner of tmpfiles", "tmpfiles: ['d /run/a 0755 A -']", "is no user and group"},
		{"lines of tmpfiles", `tmpfiles: ["d /run/a\nR /usr"]`, "is more than one line"},
		{"setting", "sysctl: {ip_forward: '1'}", `"ip_forward" is not the name of a kernel setting`},
		{"setting's value", `sysctl: {net.ipv4.ip_forward: "1\nkernel.x = 2"}`, "net.ipv4.ip_forward has no value of one line"},
		{"kind of unit", "units: [{file: files/a.servise}]", `"a.servise" is not the name of a unit`},
		{"unit that is not there", "units: [{file: files/b.service}]", `"files/b.service" is not in the recipe's folder`},
		{"preset", "units: [{file: files/a.service, preset: on}]", `"on" is none of enable, disable, none`},
		{"preset that does nothing", "units: [{file: files/a.service, preset: enable}]", "a.service cannot be enabled: it has no WantedBy or the like"},
		{"section", "units: [{file: files/section.service}]", "section.service:2: [Servise] is no section of such a unit"},
		{"line", "units: [{file: files/line.service}]", `line.service:4: "ExecStart" is not KEY=VALUE in a section`},
		{"own section", "units: [{file: files/empty.timer}]", "empty.timer has no section [Timer]"},
		{"capability", "modes: [{path: /usr/bin/a, caps: cap_raw+ep, reason: r}]", `"cap_raw" is no capability of Linux`},
		{"capability's flags", "modes: [{path: /usr/bin/a, caps: cap_net_raw+x, reason: r}]", "the flags are e, i and p"},
		{"capability without flags", "modes: [{path: /usr/bin/a, caps: cap_net_raw, reason: r}]", "has no flags"},
		{"half effective", "modes: [{path: /usr/bin/a, caps: cap_net_raw+ep cap_chown+p, reason: r}]", "effective all together or not at all"},
		{"capability without reason", "modes: [{path: /usr/bin/a, caps: cap_net_raw+p}]", "capabilities need a reason"},
		{"automatic kind", "no-auto: [sonames]", `"sonames" is none of soname, symver`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, "    split: dev", "    split: dev\n    "+c.line, 1)
			tree, err := LoadTree(folder(t, "a/recipe.yaml", text, "pipelines/g/p.yaml", pipeline, "a/files/a.service", service,
				"a/files/section.service", "[Unit]\n[Servise]\n", "a/files/line.service", "[Service]\nUser=\\\na\nExecStart\n", "a/files/empty.timer", "[Unit]\n"), "x86_64")
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.Err(); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestBaseAccounts holds the list against the package filesystem.
func TestBaseAccounts(t *testing.T) {
	var names []string
	for _, file := range []string{"passwd", "group"} {
		f, err := os.Open("../../../recipes/filesystem/files/" + file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			name, _, _ := strings.Cut(lines.Text(), ":")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	have := slices.Sorted(slices.Values(baseAccounts))
	if !slices.Equal(have, names) {
		t.Errorf("baseAccounts has %v, the package filesystem %v", have, names)
	}
}

// FuzzReadUnit: no text makes reading a unit crash, and what is read is in it.
func FuzzReadUnit(f *testing.F) {
	f.Add("a.service", "[Service]\nExecStart=-/usr/bin/a \\\n b\n[Install]\nWantedBy=x.target\n")
	f.Add("a.timer", "[Timer]\nOnCalendar=daily\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		facts, err := ReadUnit(name, []byte(text))
		if err != nil {
			return
		}
		for _, program := range facts.Programs {
			if program != "" && !strings.Contains(text, program) {
				t.Errorf("%q is not in %q", program, text)
			}
		}
	})
}

// FuzzParseCaps: what is taken is an attribute of 20 bytes.
func FuzzParseCaps(f *testing.F) {
	f.Add("cap_net_raw+ep")
	f.Add("cap_chown,cap_bpf=i cap_kill+p")
	f.Fuzz(func(t *testing.T, text string) {
		if value, err := ParseCaps(text); err == nil && len(value) != 20 {
			t.Errorf("%q: %x", text, value)
		}
	})
}
