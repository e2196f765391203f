package query

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/sbom"
	"ashlar/pkgtool/system"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
)

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
	doc := sbom.Document(fmt.Sprintf("system-generation-%d", g.Number), g.Time.UTC().Format(time.RFC3339), record)
	for i := range g.Packages {
		r := &g.Packages[i]
		m, err := manifest(*r)
		if err != nil {
			return err
		}
		doc.Packages = append(doc.Packages, sbom.Package(described(r, m), r.Version))
		doc.Relationships = append(doc.Relationships, sbom.Relationship("DOCUMENT", common.TypeRelationshipDescribe, sbom.ID(r.Name, r.Version.String())))
	}
	for _, n := range graph.Nodes {
		var needed []string
		for _, e := range graph.Out(n) {
			if id := string(sbom.ID(e.To.Name, e.To.Version.String())); e.Relation == Requires && !slices.Contains(needed, id) {
				needed = append(needed, id)
			}
		}
		slices.Sort(needed)
		for _, id := range needed {
			doc.Relationships = append(doc.Relationships, sbom.Relationship(sbom.ID(n.Name, n.Version.String()), common.TypeRelationshipDependsOn, common.ElementID(id)))
		}
	}
	return spdxjson.Write(doc, w, spdxjson.Indent("  "), spdxjson.EscapeHTML(false))
}

// described is a manifest with what the record of the system says where that is
// what counts.
func described(r *system.Record, m *pkgfile.Manifest) *pkgfile.Manifest {
	d := *m
	d.Name, d.Arch, d.Vendor = r.Name, r.Arch, r.Vendor
	return &d
}
