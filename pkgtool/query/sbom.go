package query

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/system"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// unknown is SPDX for "we do not say".
const unknown = "NOASSERTION"

// WriteSBOM writes an SPDX 2.3 document in JSON of the packages of a
// generation: versions, licences, sources with their hashes, and which package
// depends on which. The same generation gives the same bytes. manifest returns
// the manifest of a record (System.Manifest).
func WriteSBOM(w io.Writer, g *system.Generation, manifest func(system.Record) (*pkgfile.Manifest, error)) error {
	graph, err := Installed(g.Packages)
	if err != nil {
		return err
	}
	record, err := json.Marshal(g)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(record)
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      fmt.Sprintf("system-generation-%d", g.Number),
		DocumentNamespace: "urn:ashlar:sbom:" + hex.EncodeToString(sum[:]),
		CreationInfo: &v2_3.CreationInfo{Created: g.Time.UTC().Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "pkgtool"}}},
	}
	for i := range g.Packages {
		r := &g.Packages[i]
		m, err := manifest(*r)
		if err != nil {
			return err
		}
		doc.Packages = append(doc.Packages, spdxPackage(r, m))
		doc.Relationships = append(doc.Relationships, relationship("DOCUMENT", common.TypeRelationshipDescribe, spdxID(r.Name, r.Version.String())))
	}
	for _, n := range graph.Nodes {
		var needed []string
		for _, e := range graph.Out(n) {
			if id := string(spdxID(e.To.Name, e.To.Version.String())); e.Relation == Requires && !slices.Contains(needed, id) {
				needed = append(needed, id)
			}
		}
		slices.Sort(needed)
		for _, id := range needed {
			doc.Relationships = append(doc.Relationships, relationship(spdxID(n.Name, n.Version.String()), common.TypeRelationshipDependsOn, common.ElementID(id)))
		}
	}
	return spdxjson.Write(doc, w, spdxjson.Indent("  "), spdxjson.EscapeHTML(false))
}

func relationship(from common.ElementID, kind string, to common.ElementID) *v2_3.Relationship {
	return &v2_3.Relationship{RefA: common.MakeDocElementID("", string(from)), RefB: common.MakeDocElementID("", string(to)), Relationship: kind}
}

func spdxPackage(r *system.Record, m *pkgfile.Manifest) *v2_3.Package {
	p := &v2_3.Package{
		PackageName: r.Name, PackageSPDXIdentifier: spdxID(r.Name, r.Version.String()), PackageVersion: r.Version.String(),
		PackageDownloadLocation: unknown, PackageCopyrightText: unknown, PackageLicenseConcluded: unknown,
		PackageLicenseDeclared: m.License, PackageSummary: m.Summary, PackageHomePage: m.Homepage, PackageSourceInfo: sourceInfo(m),
		PackageExternalReferences: []*v2_3.PackageExternalReference{{
			Category: spdx.CategoryPackageManager, RefType: spdx.PackageManagerPURL,
			Locator: fmt.Sprintf("pkg:ashlar/%s@%s?arch=%s", r.Name, strings.ReplaceAll(r.Version.String(), "+", "%2B"), r.Arch),
		}},
	}
	if p.PackageLicenseDeclared == "" {
		p.PackageLicenseDeclared = unknown
	}
	if r.Vendor != "" {
		p.PackageSupplier = &common.Supplier{SupplierType: "Organization", Supplier: r.Vendor}
	}
	return p
}

func sourceInfo(m *pkgfile.Manifest) string {
	var lines []string
	for _, s := range m.Provenance.Sources {
		lines = append(lines, fmt.Sprintf("%s sha256:%s", s.URI, s.SHA256))
	}
	if len(lines) == 0 {
		return ""
	}
	return "built from " + strings.Join(lines, ", ")
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]`)

// spdxID is an identifier that no other package of a generation has. Where SPDX
// does not allow a character, a hash tells what would look alike apart.
func spdxID(name, version string) common.ElementID {
	text := name + "-" + version
	id := "Package-" + notInID.ReplaceAllString(text, "-")
	if id != "Package-"+text {
		sum := sha256.Sum256([]byte(text))
		id += "-" + hex.EncodeToString(sum[:6])
	}
	return common.ElementID(id)
}
