package remote

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/signing"
)

func TestPublishedSchema(t *testing.T) {
	const published = "../../../docs/formats/build-cache.schema.json"
	schema, err := ConfigSchema()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(published, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := os.ReadFile(published); err != nil || !bytes.Equal(old, schema) {
		t.Errorf("%s is out of date; renew it with UPDATE_GOLDEN=1 (%v)", published, err)
	}
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	key, err := signing.Generate("builder", "", time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("builders.asc", string(key.Public().Armored()))
	project := write("cache.yaml", "schema: 1\nurl: /srv/cache\nkeys: [builders.asc]\nthreshold: 2\n")
	c, err := ReadConfig(filepath.Join(dir, "absent.yaml"), project)
	if err != nil || c.URL != "/srv/cache" || c.Threshold != 2 || c.File() != project {
		t.Fatalf("%+v, %v", c, err)
	}
	allowed, err := c.Keyring()
	if err != nil || allowed.Key(key.Fingerprint()) == nil {
		t.Errorf("the builder's key is not allowed: %v", err)
	}
	if c, err := ReadConfig(filepath.Join(dir, "absent.yaml")); err != nil || c.URL != "" || c.File() != "" {
		t.Errorf("no file: %+v, %v", c, err)
	}
	for text, want := range map[string]string{
		"schema: 2\n":                       "schema 2 is unknown",
		"schema: 1\nurls: x\n":              "url",
		"schema: 1\nthreshold: -1\n":        "threshold",
		"schema: 1\nkeys: [nowhere.asc]\n":  "nowhere.asc",
		"schema: 1\nkeys: [cache2.yaml]\n":  "cache2.yaml",
		"schema: 1\nurl: a\nurl: b\nx: 1\n": "url",
	} {
		c, err := ReadConfig(write("cache2.yaml", text))
		if err == nil {
			_, err = c.Keyring()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		} else if fault.ClassOf(err) == fault.Failed {
			t.Errorf("%q: no class: %v", text, err)
		}
	}
}
