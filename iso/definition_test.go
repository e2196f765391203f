package iso

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/pkgtool/fault"
)

var update = flag.Bool("update", false, "rewrite the published schema")

func TestPublishedSchemaIsCurrent(t *testing.T) {
	const published = "../docs/formats/image.schema.json"
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(published, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(published); !bytes.Equal(got, schema) {
		t.Errorf("%s is not what the types say (%v); run: go test ./iso -update", published, err)
	}
}

func TestAllDefinitionsAreSound(t *testing.T) {
	names, err := Names("images")
	if err != nil || len(names) == 0 {
		t.Fatalf("%v (%v)", names, err)
	}
	for _, name := range names {
		if _, err := Find("images", name); err != nil {
			t.Error(err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	const good = "schema: 1\nname: x\nsummary: S\npackages: [a]\n"
	for text, want := range map[string]string{
		strings.Replace(good, "schema: 1", "schema: 2", 1):          "schema is 2",
		strings.Replace(good, "name: x", "name: y", 1):              `make it that of the file, "x"`,
		strings.Replace(good, "[a]", "[]", 1):                       "packages is empty",
		strings.Replace(good, "[a]", `["a >>1"]`, 1):                "a >>1",
		strings.Replace(good, "summary: S", "summary: it's", 1):     "summary must be",
		good + "pakages: [b]\n":                                     `did you mean "packages"?`,
		good + "volume: lower\n":                                    "volume",
		good + "timeout: -1\n":                                      "timeout",
		good + "hostname: A_B\n":                                    "hostname",
		good + "formats: [qcow]\n":                                  "known: iso, raw, qcow2",
		good + "formats: [iso, iso]\n":                              "stands twice",
		good + "kernel: none\n":                                     "needs a kernel",
		good + "disk: {size: 5}\n":                                  "disk size",
		good + "kernel_fragments: [../x.config]\n":                  "beside the definition",
		good + "timezone: ../../etc/shadow\n":                       "timezone",
		good + "services: {enable: [sshd]}\n":                       "full name",
		good + "services: {enable: [a.socket], mask: [a.socket]}\n": "stands twice",
		good + "users: [{name: Alice}]\n":                           "name \"Alice\"",
		good + "users: [{name: a, password_hash: secret}]\n":        "openssl passwd -6",
		good + "users: [{name: a, ssh_keys: [AAAA]}]\n":             "not a public key",
		good + "users: [{name: a, uid: 5}]\n":                       "1000 to 60000",
		good + "users: [{name: a}, {name: a}]\n":                    "stands twice",
		good + "users: [{name: root, home: /x}]\n":                  "of root only",
		good + "branding: {id: My OS}\n":                            "branding: id",
		good + "branding: {name: a$b}\n":                            "os-release",
		good + "compression: maximal\n":                             "compression",
		good + "cmdline: \"a; reboot\"\n":                           "cmdline",
		good + "repositories: [{name: r, urls: []}]\n":              "at least one url",
		good + "files: [{path: etc/x}]\n":                           "not absolute",
		good + "files: [{path: /a/../b}]\n":                         "not absolute and clean",
		good + "files: [{path: /a, from: ../../secret}]\n":          "beside the definition",
		good + "files: [{path: /a, content: x, link: y}]\n":         "one of content",
		good + "files: [{path: /a, mode: \"999\"}]\n":               "not octal",
		good + "files: [{path: /a}, {path: /a}]\n":                  "stands twice",
	} {
		p := filepath.Join(t.TempDir(), "x.yaml")
		os.WriteFile(p, []byte(text), 0o644)
		_, err := Read(p)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v, want %q", text, err, want)
		} else if fault.ClassOf(err) != fault.Usage {
			t.Errorf("%v: class %d", err, fault.ClassOf(err))
		}
	}
}

func TestFindHelps(t *testing.T) {
	_, err := Find("images", "minimum")
	if hints := fault.Hints(err); err == nil || len(hints) == 0 || !strings.Contains(hints[0], "minimal") {
		t.Errorf("error %v, hints %v", err, hints)
	}
}
