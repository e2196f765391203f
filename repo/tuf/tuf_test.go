package tuf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// document is metadata of a role with one (worthless) signature.
func document(t testing.TB, role string) []byte {
	t.Helper()
	expires := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var data []byte
	var err error
	switch role {
	case metadata.ROOT:
		data, err = metadata.Root(expires).ToBytes(false)
	case metadata.TIMESTAMP:
		data, err = metadata.Timestamp(expires).ToBytes(false)
	case metadata.SNAPSHOT:
		data, err = metadata.Snapshot(expires).ToBytes(false)
	case metadata.TARGETS:
		data, err = metadata.Targets(expires).ToBytes(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Replace(data, []byte(`"signatures":[]`), []byte(`"signatures":[{"keyid":"ab","sig":"00"}]`), 1)
}

func TestCheckAccepts(t *testing.T) {
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if err := Check(role, document(t, role)); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	ts := string(document(t, metadata.TIMESTAMP))
	for name, tc := range map[string]struct {
		data string
		says string
	}{
		"empty":            {"", "not JSON"},
		"null":             {"null", "null"},
		"array":            {"[]", "cannot unmarshal"},
		"number":           {"1", "cannot unmarshal"},
		"null inside":      {strings.Replace(ts, `"version":1}`, `"version":1,"hashes":null}`, 1), "null"},
		"twice":            {strings.Replace(ts, `"version":1}`, `"version":1,"version":2}`, 1), "twice"},
		"twice in case":    {strings.Replace(ts, `"_type"`, `"_TYPE":"x","_type"`, 1), "twice"},
		"version 0":        {strings.ReplaceAll(ts, `"version":1`, `"version":0`), "version 0"},
		"version -1":       {strings.ReplaceAll(ts, `"version":1`, `"version":-1`), "version -1"},
		"version 1.5":      {strings.ReplaceAll(ts, `"version":1`, `"version":1.5`), "cannot unmarshal"},
		"version as text":  {strings.ReplaceAll(ts, `"version":1`, `"version":"1"`), "cannot unmarshal"},
		"version 2^63-1":   {strings.ReplaceAll(ts, `"version":1`, `"version":9223372036854775807`), "outside"},
		"version 2^64-1":   {strings.ReplaceAll(ts, `"version":1`, `"version":18446744073709551615`), "cannot unmarshal"},
		"another type":     {strings.Replace(ts, `"timestamp"`, `"snapshot"`, 1), "expected timestamp"},
		"no signature":     {strings.Replace(ts, `{"keyid":"ab","sig":"00"}`, ``, 1), "no signature"},
		"lists nothing":    {strings.Replace(ts, `"snapshot.json"`, `"other.json"`, 1), "does not list snapshot.json"},
		"data after it":    {ts + "{}", "after the end"},
		"deep":             {strings.Repeat("[", 100), "nested"},
		"cut off":          {ts[:len(ts)-5], "not JSON"},
		"over the limit":   {strings.Repeat(" ", 20_000), "over the limit"},
		"control in error": {strings.Replace(ts, `"timestamp"`, `"\u001b[31m"`, 1), "expected timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(metadata.TIMESTAMP, []byte(tc.data))
			if err == nil || !strings.Contains(err.Error(), tc.says) || KindOf(err) == "" {
				t.Errorf("got %v, want %q", err, tc.says)
			}
			if err != nil && strings.Contains(err.Error(), "\x1b") {
				t.Errorf("not fit for a terminal: %q", err)
			}
		})
	}
	root := string(document(t, metadata.ROOT))
	for name, data := range map[string]string{
		"no role":   strings.Replace(root, `"targets":{`, `"others":{`, 1),
		"short key": strings.Replace(root, `"keys":{}`, `"keys":{"ab":{"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"abcd"}}}`, 1),
	} {
		if Check(metadata.ROOT, []byte(data)) == nil {
			t.Errorf("root with %s: accepted", name)
		}
	}
}

func TestTranslate(t *testing.T) {
	for _, tc := range []struct {
		err  error
		kind Kind
	}{
		{&metadata.ErrExpiredMetadata{Msg: "x"}, Stale},
		{&metadata.ErrUnsignedMetadata{Msg: "x"}, Unsigned},
		{&metadata.ErrBadVersionNumber{Msg: "x"}, RolledBack},
		{&metadata.ErrLengthOrHashMismatch{Msg: "x"}, Tampered},
		{&metadata.ErrRepository{Msg: "x\x1b]0;"}, Tampered},
		{fmt.Errorf("wrapped: %w", &metadata.ErrExpiredMetadata{Msg: "x"}), Stale},
		{errors.New("other"), Tampered},
	} {
		got := Translate(tc.err)
		if KindOf(got) != tc.kind || strings.Contains(got.Error(), "\x1b") {
			t.Errorf("%v: %v", tc.err, got)
		}
	}
}

// FuzzCheck: what Check lets through does not make the library panic.
func FuzzCheck(f *testing.F) {
	for i, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		f.Add(i, document(f, role))
	}
	f.Fuzz(func(t *testing.T, role int, data []byte) {
		name := metadata.TOP_LEVEL_ROLE_NAMES[uint(role)%4]
		if Check(name, data) != nil {
			return
		}
		switch name {
		case metadata.ROOT:
			if set, err := trustedmetadata.New(data); err == nil {
				set.UpdateRoot(data)
			}
		case metadata.TIMESTAMP:
			set := trustedSet(t)
			set.UpdateTimestamp(data)
			if m, err := metadata.Timestamp().FromBytes(data); err == nil {
				set.Timestamp = m
				set.UpdateTimestamp(data)
				set.UpdateSnapshot(data, false)
			}
		case metadata.SNAPSHOT:
			set := trustedSet(t)
			set.UpdateSnapshot(data, false)
			if m, err := metadata.Snapshot().FromBytes(data); err == nil {
				set.Snapshot = m
				set.UpdateSnapshot(data, true)
				set.UpdateTargets(data)
			}
		case metadata.TARGETS:
			trustedSet(t).UpdateTargets(data)
		}
	})
}

func trustedSet(t *testing.T) *trustedmetadata.TrustedMetadata {
	ts, err := metadata.Timestamp().FromBytes(document(t, metadata.TIMESTAMP))
	if err != nil {
		t.Fatal(err)
	}
	root, err := metadata.Root().FromBytes(document(t, metadata.ROOT))
	if err != nil {
		t.Fatal(err)
	}
	return &trustedmetadata.TrustedMetadata{Root: root, Timestamp: ts, Targets: map[string]*metadata.Metadata[metadata.TargetsType]{}}
}
