package sysusers

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
)

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
	group  = "root:x:0:\nwheel:x:10:alice\nalice:x:1000:\n"
)

func TestAllocate(t *testing.T) {
	now := Texts{Passwd: []byte(passwd), Group: []byte(group), Shadow: []byte("root:!:1::::::\n")}
	for _, c := range []struct {
		name, conf           string
		passwd, group, notes string // what is new
	}{
		{"nothing", "# a comment\n\n", "", "", "[]"},
		{"what exists stays", "u root 0 'other' /other\ng wheel 11\n", "", "", "[]"},
		{"a free number from above", "u web - \"Web server\" /srv /bin/false\n",
			"web:x:999:999:Web server:/srv:/bin/false\n", "web:x:999:\n", "[{group web 999 } {user web 999 }]"},
		{"a wished number", "u db 70\n", "db:x:70:70::/:/usr/sbin/nologin\n", "db:x:70:\n", "[{group db 70 } {user db 70 }]"},
		{"a wished number that is taken", "g mail 10\n", "", "mail:x:999:\n", "[{group mail 999 }]"},
		{"a primary group by name", "u web -:wheel\n", "web:x:999:10::/:/usr/sbin/nologin\n", "", "[{user web 999 }]"},
		{"groups before users", "u web 5:www\ng www -\n", "web:x:5:999::/:/usr/sbin/nologin\n", "www:x:999:\n", "[{group www 999 } {user web 5 }]"},
		{"a range", "r - 300-301\ng a -\ng b -\n", "", "a:x:301:\nb:x:300:\n", "[{group a 301 } {group b 300 }]"},
		{"two lines", "g a 7\ng a 7\ng a 8\n", "", "a:x:7:\n", "[{group a 7 } {ignored a 0 another line for this group came first}]"},
		{"specifiers", "u a 5 50%% %V\n", "a:x:5:5:50%:/var/tmp:/usr/sbin/nologin\n", "a:x:5:\n", "[{group a 5 } {user a 5 }]"},
	} {
		got, notes, err := Allocate([]Conf{{"usr/lib/sysusers.d/x.conf", []byte(c.conf)}}, now)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if want := passwd + c.passwd; string(got.Passwd) != want {
			t.Errorf("%s: passwd\n%swant\n%s", c.name, got.Passwd, want)
		}
		if want := group + c.group; string(got.Group) != want {
			t.Errorf("%s: group\n%swant\n%s", c.name, got.Group, want)
		}
		if fmt.Sprint(notes) != c.notes {
			t.Errorf("%s: notes %v, want %s", c.name, notes, c.notes)
		}
		if n := strings.Count(string(got.Shadow), ":!*:::::::\n"); n != strings.Count(c.passwd, "\n") || got.Gshadow != nil {
			t.Errorf("%s: shadow\n%sgshadow %q", c.name, got.Shadow, got.Gshadow)
		}
	}
}

func TestMembersAndForeignLines(t *testing.T) {
	now := Texts{Passwd: []byte(passwd + "+::::::"), Group: []byte(strings.TrimSuffix(group, "\n")), Gshadow: []byte("wheel:!*::alice\n")}
	got, _, err := Allocate([]Conf{
		{"usr/lib/sysusers.d/b.conf", []byte("g late -\n")},
		{"usr/lib/sysusers.d/a.conf", []byte("g masked -\n")},
		{"etc/sysusers.d/a.conf", []byte("m zoe wheel\nm bob wheel\nm bob fresh\n")},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := Texts{
		Passwd:  []byte(passwd + "zoe:x:997:997::/:/usr/sbin/nologin\nbob:x:996:996::/:/usr/sbin/nologin\n+::::::"),
		Group:   []byte("root:x:0:\nwheel:x:10:alice,bob,zoe\nalice:x:1000:\nlate:x:999:\nfresh:x:998:bob\nzoe:x:997:\nbob:x:996:\n"),
		Gshadow: []byte("wheel:!*::alice,bob,zoe\nlate:!*::\nfresh:!*::bob\nzoe:!*::\nbob:!*::\n"),
	}
	for _, x := range []struct{ got, want []byte }{{got.Passwd, want.Passwd}, {got.Group, want.Group}, {got.Gshadow, want.Gshadow}, {got.Shadow, nil}} {
		if !bytes.Equal(x.got, x.want) {
			t.Errorf("got\n%s\nwant\n%s", x.got, x.want)
		}
	}
	// What came out asks for nothing more.
	again, notes, err := Allocate([]Conf{{"etc/sysusers.d/a.conf", []byte("m zoe wheel\nm bob wheel\nm bob fresh\n")}}, got)
	if err != nil || len(notes) != 0 || !bytes.Equal(again.Group, got.Group) || !bytes.Equal(again.Passwd, got.Passwd) {
		t.Errorf("a second time: %v %v", notes, err)
	}
}

func TestBadLines(t *testing.T) {
	for line, want := range map[string]string{
		"u":                    "name \"\"",
		"u a:b -":              "name \"a:b\"",
		"u a x":                "\"x\" is not a number",
		"u a 65535":            "is not a number",
		"u a 5:b:c":            "neither a number nor a name",
		"u a - 'x:y'":          "has a colon",
		"u a - - relative":     "not a clean absolute path",
		"u a - - /x /y/../z":   "not a clean absolute path",
		"u a - - - - -":        "7 fields",
		"u a - %H":             "specifier %H",
		"u a -:nobodys":        "group nobodys, which does not exist",
		"u a -:77":             "group 77, which does not exist",
		"g a - comment":        "has no comment",
		"m a -":                "is no name",
		"r a 5-6":              "has - for a name",
		"r - 9-5":              "goes down",
		"x a":                  "type \"x\"",
		"g 'a":                 "not closed",
		"r - 5\ng a -\ng b -":  "no number is left for b",
		"g a -\nu b - c d e\\": "not closed",
	} {
		_, _, err := Allocate([]Conf{{"usr/lib/sysusers.d/x.conf", []byte(line)}}, Texts{})
		if err == nil || !strings.Contains(err.Error(), want) || fault.ClassOf(err) != fault.Usage || len(fault.Hints(err)) == 0 {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
}

// judge returns the real systemd-sysusers, from Debian's package.
func judge(t *testing.T) string {
	if os.Getenv("ASHLAR_TEST_NETWORK") == "" {
		t.Skip("needs the network: set ASHLAR_TEST_NETWORK=1")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: systemd-sysusers gives its files to root")
	}
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs Debian's ", tool)
		}
	}
	dir := t.TempDir()
	cmd := exec.Command("apt-get", "download", "systemd-standalone-sysusers")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, err := filepath.Glob(dir + "/*.deb")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if out, err := exec.Command("dpkg-deb", "-x", files[0], dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir + "/bin/systemd-sysusers"
}

func TestAgreesWithSystemd(t *testing.T) {
	program := judge(t)
	random := rand.New(rand.NewPCG(5, 6))
	failed := 0
	for round := range 100 {
		now := Texts{Passwd: []byte(passwd), Group: []byte(group), Shadow: []byte("root:!:1::::::\n"), Gshadow: []byte("wheel:!*::alice\n")}
		conf := randomConf(random)
		root := t.TempDir()
		write := map[string][]byte{"etc/passwd": now.Passwd, "etc/group": now.Group, "etc/shadow": now.Shadow, "etc/gshadow": now.Gshadow}
		for _, c := range conf {
			write[c.Name] = c.Text
		}
		for name, text := range write {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		log, theirErr := exec.Command(program, "--root="+root).CombinedOutput()
		got, _, err := Allocate(conf, now)
		// systemd leaves out a user whose group is missing, and goes on.
		refused := theirErr != nil || bytes.Contains(log, []byte("please create GID"))
		if (err != nil) != refused {
			t.Fatalf("round %d: %v; systemd: %v\n%s\n%s", round, err, theirErr, conf, log)
		}
		if err != nil {
			failed++
			continue
		}
		for name, text := range map[string][]byte{"passwd": got.Passwd, "group": got.Group, "shadow": got.Shadow, "gshadow": got.Gshadow} {
			want, err := os.ReadFile(filepath.Join(root, "etc", name))
			if err != nil {
				t.Fatal(err)
			}
			if name == "shadow" { // the date of a new entry is today's
				want = regexp.MustCompile(`(?m):!\*:\d+:`).ReplaceAll(want, []byte(":!*::"))
			}
			if !bytes.Equal(text, want) {
				t.Fatalf("round %d: %s\n%s: got\n%s\nsystemd writes\n%s\n%s", round, conf, name, text, want, log)
			}
		}
	}
	if failed > 35 {
		t.Errorf("%d of 100 inputs were refused; they are a poor test", failed)
	}
}

func randomConf(random *rand.Rand) []Conf {
	name := func() string { return string(rune('a' + random.IntN(8))) }
	id := func() string { return []string{"-", "-", fmt.Sprint(5 + random.IntN(8)), "999", "998"}[random.IntN(5)] }
	var conf []Conf
	for _, file := range []string{"usr/lib/sysusers.d/b.conf", "etc/sysusers.d/a.conf", "usr/lib/sysusers.d/a.conf"} {
		var text strings.Builder
		for range random.IntN(6) {
			switch random.IntN(9) {
			case 0, 1:
				fmt.Fprintf(&text, "g %s %s\n", name(), id())
			case 2:
				fmt.Fprintf(&text, "m %s %s\n", name(), []string{name(), "wheel"}[random.IntN(2)])
			case 3:
				group := name()
				fmt.Fprintf(&text, "g %s %s\nu %s %s:%s\n", group, id(), name(), id(), group)
			case 4:
				fmt.Fprintf(&text, "r - %d-%d\n", 200+random.IntN(5), 210+random.IntN(20))
			case 5:
				fmt.Fprintf(&text, "u %s -:%d\n", name(), []int{10, 12}[random.IntN(2)])
			default:
				fmt.Fprintf(&text, "u\t%s  %s \"A %s\" '/var/%%%%' /bin/\\sh # no comment here\n", name(), id(), name())
			}
		}
		conf = append(conf, Conf{file, []byte(strings.ReplaceAll(text.String(), " # no comment here", ""))})
	}
	return conf
}

func FuzzAllocate(f *testing.F) {
	f.Add("u a 5:b 'x' /home\ng b -\nm a b\nr - 5-9\n", passwd, group)
	f.Fuzz(func(t *testing.T, conf, passwd, group string) {
		now := Texts{Passwd: []byte(passwd), Group: []byte(group)}
		got, _, err := Allocate([]Conf{{"x.conf", []byte(conf)}}, now)
		if err != nil {
			return
		}
		// What was there keeps its number.
		for _, x := range []struct{ before, after []byte }{{now.Passwd, got.Passwd}, {now.Group, got.Group}} {
			ids, _ := database(x.before)
			after, _ := database(x.after)
			for name, id := range ids {
				if after[name] != id {
					t.Fatalf("%q had number %d and has %d", name, id, after[name])
				}
			}
		}
		again, notes, err := Allocate([]Conf{{"x.conf", []byte(conf)}}, got)
		if err != nil || !bytes.Equal(again.Passwd, got.Passwd) {
			t.Fatalf("a second time: %v %v\n%q\n%q", notes, err, got.Passwd, again.Passwd)
		}
	})
}
