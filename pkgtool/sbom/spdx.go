package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/version"

	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// unknown is SPDX for "we do not say".
const unknown = "NOASSERTION"

// Document is the head of a document; content is what its namespace is made
// from, created is RFC 3339.
func Document(name, created string, content []byte) *v2_3.Document {
	sum := sha256.Sum256(content)
	return &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: name,
		DocumentNamespace: "urn:ashlar:sbom:" + hex.EncodeToString(sum[:]),
		CreationInfo:      &v2_3.CreationInfo{Created: created, Creators: []common.Creator{{CreatorType: "Tool", Creator: "pkgtool"}}},
	}
}

// Package describes a package by its manifest.
func Package(m *pkgfile.Manifest, evr version.Version) *v2_3.Package {
	p := &v2_3.Package{
		PackageName: m.Name, PackageSPDXIdentifier: ID(m.Name, evr.String()), PackageVersion: evr.String(),
		PackageDownloadLocation: unknown, PackageCopyrightText: unknown, PackageLicenseConcluded: unknown,
		PackageLicenseDeclared: m.License, PackageSummary: m.Summary, PackageHomePage: m.Homepage, PackageSourceInfo: sourceInfo(m),
		PackageExternalReferences: []*v2_3.PackageExternalReference{{
			Category: spdx.CategoryPackageManager, RefType: spdx.PackageManagerPURL, Locator: PURL(m.Name, evr, m.Arch),
		}},
	}
	if p.PackageLicenseDeclared == "" {
		p.PackageLicenseDeclared = unknown
	}
	if m.Vendor != "" {
		p.PackageSupplier = &common.Supplier{SupplierType: "Organization", Supplier: m.Vendor}
	}
	return p
}

// PURL is the package URL of a package.
func PURL(name string, evr version.Version, arch string) string {
	return fmt.Sprintf("pkg:ashlar/%s@%s?arch=%s", name, strings.ReplaceAll(evr.String(), "+", "%2B"), arch)
}

// Relationship says how two elements of a document are related.
func Relationship(from common.ElementID, kind string, to common.ElementID) *v2_3.Relationship {
	return &v2_3.Relationship{RefA: common.MakeDocElementID("", string(from)), RefB: common.MakeDocElementID("", string(to)), Relationship: kind}
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

// ID is an identifier that no other package of a document has. Where SPDX does
// not allow a character, a hash tells what would look alike apart.
func ID(name, version string) common.ElementID { return element("Package", name+"-"+version) }

func element(kind, text string) common.ElementID {
	id := kind + "-" + notInID.ReplaceAllString(text, "-")
	if id != kind+"-"+text {
		sum := sha256.Sum256([]byte(text))
		id += "-" + hex.EncodeToString(sum[:6])
	}
	return common.ElementID(id)
}
