package attest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// Types of the documents.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://slsa.dev/provenance/v1"
	PayloadType   = "application/vnd.in-toto+json"
	// BuildType says how to read the parameters; docs/formats/attestation.md is
	// its definition.
	BuildType = "urn:ashlar:build:recipe:v1"
)

// Statement is an in-toto statement, version 1
// (https://github.com/in-toto/attestation/tree/main/spec/v1).
type Statement struct {
	Type          string       `json:"_type"`
	Subject       []Descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     Provenance   `json:"predicate"`
}

// Descriptor names one thing by its digest.
type Descriptor struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"` // algorithm to lower-case hex
	Annotations map[string]any    `json:"annotations,omitempty"`
}

// Provenance is SLSA's predicate (https://slsa.dev/spec/v1.0/provenance).
type Provenance struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what was built from what.
type BuildDefinition struct {
	BuildType            string         `json:"buildType"`
	ExternalParameters   map[string]any `json:"externalParameters"`
	InternalParameters   map[string]any `json:"internalParameters,omitempty"`
	ResolvedDependencies []Descriptor   `json:"resolvedDependencies"`
}

// RunDetails is who built it.
type RunDetails struct {
	Builder  Builder  `json:"builder"`
	Metadata Metadata `json:"metadata"`
}

// Builder is whoever is trusted to have done it as said.
type Builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

// Metadata identifies the run. It has no times: the same build gives the same
// statement.
type Metadata struct {
	InvocationID string `json:"invocationId"` // the key of the action
}

// Build describes a build.
type Build struct {
	Recipe  string            // name
	Version string            // with release
	Arch    string            // built for
	File    string            // SHA-256 of recipe.yaml
	Action  string            // key of everything that the build could see
	Options map[string]string // chosen values; may be empty
	Env     map[string]string // variables of every step
	Key     string            // fingerprint of the packager's key, which is the builder's name
	Builder string            // version of pkgtool, "" where unknown

	Packages  []Descriptor // what came out
	Materials []Descriptor // everything that went in
}

// Statement is the build as a statement.
func (b *Build) Statement() *Statement {
	external := map[string]any{
		"recipe":  map[string]any{"name": b.Recipe, "version": b.Version, "sha256": b.File},
		"arch":    b.Arch,
		"options": orEmpty(b.Options),
	}
	s := &Statement{
		Type: StatementType, Subject: b.Packages, PredicateType: PredicateType,
		Predicate: Provenance{
			BuildDefinition: BuildDefinition{
				BuildType: BuildType, ExternalParameters: external,
				InternalParameters:   map[string]any{"environment": orEmpty(b.Env)},
				ResolvedDependencies: b.Materials,
			},
			RunDetails: RunDetails{Builder: Builder{ID: BuilderID(b.Key)}, Metadata: Metadata{InvocationID: b.Action}},
		},
	}
	if b.Builder != "" {
		s.Predicate.RunDetails.Builder.Version = map[string]string{"pkgtool": b.Builder}
	}
	return s
}

// BuilderID names the builder who has a key.
func BuilderID(fingerprint string) string {
	if fingerprint == "" {
		return "urn:ashlar:builder:unsigned"
	}
	return "openpgp4fpr:" + strings.ToLower(fingerprint)
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// SHA256 is a digest set of one SHA-256 in hex.
func SHA256(hex string) map[string]string { return map[string]string{"sha256": hex} }

// DirHash is a digest set of a sum as go.sum has it ("h1:" and base64).
func DirHash(h1 string) map[string]string {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(h1, "h1:"))
	if err != nil {
		return nil
	}
	return map[string]string{"dirHash": hex.EncodeToString(raw)}
}

// encode is the statement's JSON; map keys come out sorted.
func (s *Statement) encode() ([]byte, error) { return json.Marshal(s) }

// Recipe is the name of the recipe that the statement is about, "" where it
// says none.
func (s *Statement) Recipe() string {
	if r, ok := s.Predicate.BuildDefinition.ExternalParameters["recipe"].(map[string]any); ok {
		name, _ := r["name"].(string)
		return name
	}
	return ""
}
