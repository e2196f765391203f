package build

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/build/attest"
	"ashlar/signing"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	spdxjson "github.com/spdx/tools-golang/json"
	"google.golang.org/protobuf/encoding/protojson"

	"encoding/json"
)

// attested builds a recipe with sources of every kind and returns the folder
// with its documents and the key that signed them.
func attested(t *testing.T) (*bench, string, *signing.PrivateKey) {
	t.Helper()
	signer, err := signing.Generate("packager", "p@example.org", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	dir := filepath.Join(t.TempDir(), "attestations")
	b.setUp = func(e *Engine) { e.Attest, e.Signer = dir, signer }
	b.write("app/data.txt", "")
	b.write("app/notes", "n")
	b.write("app/go.sum", "golang.org/x/text v0.3.0 h1:g61tztE5qeGQ89tm6NTjjM9VPIm088od1l6aSorWRWg=\ngolang.org/x/text v0.3.0/go.mod h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ=\n")
	b.write("../tree/file", "x")
	b.recipe("lib", "packages: [{name: lib-dev, split: dev}]", "put, usr/include/lib.h, one")
	b.recipe("app", `
sources:
  - {urls: [data.txt], unpack: false, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}
  - {id: project, tree: ../tree, into: tree}
build: {libs: [lib-dev]}
`, "put, usr/share/app, x", "put, usr/share/empty, ''", "link, app, usr/share/link")
	b.must()
	return b, dir, signer
}

// readStatement takes the payload out of an envelope after the library found
// the signature's encoding right.
func readStatement(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var e dsse.Envelope
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	payload, err := e.DecodeB64Payload()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestAttestationsAreValid(t *testing.T) {
	b, dir, signer := attested(t)
	file := filepath.Join(dir, "app-1.0.0-1.intoto.jsonl")
	payload := readStatement(t, file)

	// The libraries of in-toto are the judge of the form.
	var s intoto.Statement
	if err := protojson.Unmarshal(payload, &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	predicate, err := protojson.Marshal(s.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	var p provenance.Provenance
	if err := protojson.Unmarshal(predicate, &p); err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}

	var names []string
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		names = append(names, d.Name+d.Uri)
		if len(d.Digest) == 0 {
			t.Errorf("%s%s has no digest", d.Name, d.Uri)
		}
	}
	for _, want := range []string{"data.txt", "tree:../tree", "recipe/notes", "recipe/data.txt", "recipe/go.sum", "lib-dev-1.0.0-1.x86_64.ashlarpkg:ashlar/lib-dev@1.0.0-1?arch=x86_64", "seed/base"} {
		if !slices.Contains(names, want) {
			t.Errorf("the dependencies %q lack %s", names, want)
		}
	}
	if got, want := p.RunDetails.Builder.Id, "openpgp4fpr:"+strings.ToLower(signer.Fingerprint()); got != want {
		t.Errorf("builder %s, want %s", got, want)
	}

	// What it says of the packages is true.
	keyring, err := signing.ReadKeyring(signer.Public().Binary())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	statement, signers, err := attest.Verify(t.Context(), data, keyring, signing.Policy{})
	if err != nil || len(signers) != 1 {
		t.Fatal(signers, err)
	}
	subject := statement.Subject[0]
	sum, err := openedDigests(t).sum(filepath.Join(b.out, subject.Name))
	if err != nil || sum != subject.Digest["sha256"] {
		t.Errorf("%s has %s, the statement says %s (%v)", subject.Name, sum, subject.Digest["sha256"], err)
	}
	if got := b.pkg(subject.Name).ManifestSHA256(); got != subject.Annotations["manifest"] {
		t.Errorf("manifest %s, the statement says %v", got, subject.Annotations["manifest"])
	}
}

func openedDigests(t *testing.T) *fileDigests {
	t.Helper()
	c, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c.openDigests()
}

func TestBillsOfMaterialsAreValid(t *testing.T) {
	_, dir, _ := attested(t)
	f, err := os.Open(filepath.Join(dir, "app-1.0.0-1.x86_64.spdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := spdxjson.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Files) != 2 || doc.Files[1].FileName != "./usr/share/empty" {
		t.Errorf("files: %+v", doc.Files)
	}
	for _, f := range doc.Files {
		if len(f.Checksums) != 2 || f.FileName == "./usr/share/empty" && f.Checksums[0].Value != "da39a3ee5e6b4b0d3255bfef95601890afd80709" {
			t.Errorf("%s: %+v", f.FileName, f.Checksums)
		}
	}
	if doc.Packages[0].PackageVerificationCode == nil || len(doc.Packages) != 3 {
		t.Errorf("packages: %+v", doc.Packages)
	}
}

func TestAttestationsRepeat(t *testing.T) {
	b, dir, _ := attested(t)
	read := func() map[string][]byte {
		all := map[string][]byte{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	first := read()
	if len(first) != 4 { // two recipes with a package each
		t.Errorf("%d documents", len(first))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	b.must() // now from the cache
	for name, data := range read() {
		if !bytes.Equal(data, first[name]) {
			t.Errorf("%s is another one when the packages come from the cache", name)
		}
	}
}
