package attest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"
	"ashlar/signing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

func newKey(t *testing.T) (*signing.PrivateKey, *signing.Keyring) {
	t.Helper()
	key, err := signing.Generate("packager", "p@example.org", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := signing.ReadKeyring(key.Public().Binary())
	if err != nil {
		t.Fatal(err)
	}
	return key, ring
}

func example(key *signing.PrivateKey) *Statement {
	b := &Build{Recipe: "zlib", Version: "1.3.1-1", Arch: "x86_64", File: strings.Repeat("1", 64), Action: strings.Repeat("2", 64), Key: key.Fingerprint(),
		Packages:  []Descriptor{{Name: "zlib-1.3.1-1.x86_64.ashlar", Digest: SHA256(strings.Repeat("3", 64))}},
		Materials: []Descriptor{{URI: "https://example.org/zlib.tar.gz", Digest: SHA256(strings.Repeat("4", 64))}}}
	return b.Statement()
}

func TestSignedAndVerified(t *testing.T) {
	key, ring := newKey(t)
	data, err := Sign(example(key), key)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(data, []byte("\n")) != 1 || data[len(data)-1] != '\n' {
		t.Error("not one line")
	}
	again, err := Sign(example(key), key)
	if err != nil || !bytes.Equal(data, again) {
		t.Error("signing twice gives two documents", err)
	}
	s, signers, err := Verify(t.Context(), data, ring, signing.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if len(signers) != 1 || signers[0] != key.Fingerprint() || s.Subject[0].Name != "zlib-1.3.1-1.x86_64.ashlar" {
		t.Errorf("%v %+v", signers, s)
	}
}

// Every way in which an envelope can be another than the one that was signed.
func TestVerifyRefuses(t *testing.T) {
	key, ring := newKey(t)
	_, strangers := newKey(t)
	good, err := Sign(example(key), key)
	if err != nil {
		t.Fatal(err)
	}
	change := func(edit func(e *dsse.Envelope)) []byte {
		var e dsse.Envelope
		if err := json.Unmarshal(good, &e); err != nil {
			t.Fatal(err)
		}
		edit(&e)
		out, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	payload := func(e *dsse.Envelope, old, new string) {
		text, err := e.DecodeB64Payload()
		if err != nil {
			t.Fatal(err)
		}
		e.Payload = base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(text), old, new, 1)))
	}
	other := example(key)
	other.PredicateType = "https://example.org/other"
	otherSigned, err := Sign(other, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		data []byte
		ring *signing.Keyring
	}{
		{"another subject", change(func(e *dsse.Envelope) { payload(e, "333", "335") }), ring},
		{"another type of payload", change(func(e *dsse.Envelope) { e.PayloadType = "text/plain" }), ring},
		{"no signature", change(func(e *dsse.Envelope) { e.Signatures = nil }), ring},
		{"a signature that is none", change(func(e *dsse.Envelope) { e.Signatures[0].Sig = "AAAA" }), ring},
		{"a stranger's", good, strangers},
		{"another predicate", otherSigned, ring},
		{"no envelope", []byte("{"), ring},
		{"no JSON", []byte("\x00"), ring},
	} {
		if s, _, err := Verify(t.Context(), test.data, test.ring, signing.Policy{}); err == nil {
			t.Errorf("%s: accepted %+v", test.name, s)
		} else if fault.ClassOf(err) != fault.Security {
			t.Errorf("%s: class %d: %v", test.name, fault.ClassOf(err), err)
		}
	}
}

func TestDirHash(t *testing.T) {
	// The example of in-toto's specification of digest sets.
	if got := DirHash("h1:Khu2En+0gcYPZ2kuIihfswbzxv/mIHXgzPZ018Oty48=")["dirHash"]; got != "2a1bb6127fb481c60f67692e22285fb306f3c6ffe62075e0ccf674d7c3adcb8f" {
		t.Error(got)
	}
}

func FuzzVerify(f *testing.F) {
	key, err := signing.Generate("p", "p@example.org", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		f.Fatal(err)
	}
	ring, err := signing.ReadKeyring(key.Public().Binary())
	if err != nil {
		f.Fatal(err)
	}
	good, err := Sign(example(key), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"","sig":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _, err := Verify(t.Context(), data, ring, signing.Policy{})
		if err == nil && (s == nil || s.Recipe() != "zlib") {
			t.Errorf("accepted %q", data)
		}
	})
}
