package sbom

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ashlar/pkgtool/pkgfile"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// Write writes an SPDX 2.3 document in JSON of one package file: the package,
// each of its files with its sums, and the sources it was built from. It reads
// all of the package, since SPDX wants the SHA-1 of every file; the content is
// checked against the manifest on the way. sha256 is that of the package file,
// "" to leave it out.
func Write(ctx context.Context, w io.Writer, p *pkgfile.Package, sha256 string) error {
	m := p.Manifest()
	evr, err := m.EVR()
	if err != nil {
		return err
	}
	doc := Document(m.FileName(), time.Unix(m.Provenance.Epoch, 0).UTC().Format(time.RFC3339), p.ManifestBytes())
	main := Package(m, evr)
	main.PackageFileName, main.PackageDescription = m.FileName(), m.Description
	main.PrimaryPackagePurpose, main.BuiltDate = "INSTALL", doc.CreationInfo.Created
	if sha256 != "" {
		main.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: sha256}}
	}
	doc.Packages = append(doc.Packages, main)
	doc.Relationships = append(doc.Relationships, Relationship("DOCUMENT", common.TypeRelationshipDescribe, main.PackageSPDXIdentifier))
	if err := addFiles(ctx, doc, main, p); err != nil {
		return err
	}
	for _, s := range sources(m) {
		doc.Packages = append(doc.Packages, s)
		doc.Relationships = append(doc.Relationships, Relationship(main.PackageSPDXIdentifier, common.TypeRelationshipGeneratedFrom, s.PackageSPDXIdentifier))
	}
	return spdxjson.Write(doc, w, spdxjson.Indent("  "), spdxjson.EscapeHTML(false))
}

// addFiles describes the regular files of a package and sums them up in its
// verification code.
func addFiles(ctx context.Context, doc *v2_3.Document, main *v2_3.Package, p *pkgfile.Package) error {
	var sums []string
	byPath := map[string]string{}
	err := p.Walk(ctx, func(f *pkgfile.File, content io.Reader) error {
		if f.Type != pkgfile.TypeFile {
			return nil
		}
		h := sha1.New()
		if content != nil {
			if _, err := io.Copy(h, content); err != nil {
				return err
			}
		}
		byPath[f.Path] = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	if err != nil {
		return err
	}
	m := p.Manifest()
	for i := range m.Files {
		f := &m.Files[i]
		if f.Type != pkgfile.TypeFile {
			continue
		}
		sum := byPath[f.Path]
		sums = append(sums, sum)
		file := &v2_3.File{
			FileName: "./" + f.Path, FileSPDXIdentifier: element("File", f.Path),
			Checksums:          []common.Checksum{{Algorithm: common.SHA1, Value: sum}, {Algorithm: common.SHA256, Value: f.SHA256}},
			LicenseConcluded:   unknown,
			LicenseInfoInFiles: []string{unknown}, FileCopyrightText: unknown,
		}
		doc.Files = append(doc.Files, file)
		doc.Relationships = append(doc.Relationships, Relationship(main.PackageSPDXIdentifier, common.TypeRelationshipContains, file.FileSPDXIdentifier))
	}
	main.FilesAnalyzed, main.IsFilesAnalyzedTagPresent = len(sums) > 0, true
	if len(sums) > 0 {
		slices.Sort(sums)
		code := sha1.Sum([]byte(strings.Join(sums, "")))
		main.PackageVerificationCode = &common.PackageVerificationCode{Value: hex.EncodeToString(code[:])}
		main.PackageLicenseInfoFromFiles = []string{unknown}
	}
	return nil
}

// sources are the inputs of a build as packages of a document.
func sources(m *pkgfile.Manifest) []*v2_3.Package {
	var list []*v2_3.Package
	for i, s := range m.Provenance.Sources {
		p := &v2_3.Package{
			PackageName: s.URI[strings.LastIndexByte(s.URI, '/')+1:], PackageSPDXIdentifier: common.ElementID(fmt.Sprintf("Source-%d", i)),
			PackageVersion: m.Upstream, PackageDownloadLocation: location(s.URI), PackageCopyrightText: unknown, PackageLicenseConcluded: unknown,
			PackageLicenseDeclared: unknown, IsFilesAnalyzedTagPresent: true, PrimaryPackagePurpose: "SOURCE",
		}
		if p.PackageName == "" {
			p.PackageName = s.URI
		}
		if s.SHA256 != "" {
			p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: s.SHA256}}
		}
		list = append(list, p)
	}
	return list
}

// location is a source's address where SPDX knows the scheme.
func location(uri string) string {
	for _, scheme := range []string{"https://", "http://", "git+https://"} {
		if strings.HasPrefix(uri, scheme) {
			return uri
		}
	}
	return unknown
}
