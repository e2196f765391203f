package iso

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"ashlar/iso/tree"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/sbom"
	"ashlar/pkgtool/version"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
)

// about returns the files that say what is in an image: the list of packages,
// their licences, and an SBOM.
func (a *assembly) about(dir string) ([]tree.Entry, error) {
	document, err := a.sbom()
	if err != nil {
		return nil, fmt.Errorf("SBOM: %w", err)
	}
	return []tree.Entry{a.file(dir+"packages.txt", 0o444, a.packageList()), a.file(dir+"licenses.txt", 0o444, a.licenses()),
		a.file(dir+"sbom.spdx.json", 0o444, document)}, nil
}

func (a *assembly) packageList() []byte {
	var b bytes.Buffer
	for _, p := range a.manifest.Packages {
		fmt.Fprintf(&b, "%s %s %s\n", p.Name, p.Version, p.Arch)
	}
	return b.Bytes()
}

// licenses lists the packages under their licences.
func (a *assembly) licenses() []byte {
	by := map[string][]string{}
	for _, p := range a.Packages {
		m := p.Manifest()
		by[m.License] = append(by[m.License], m.Name)
	}
	var names []string
	for l := range by {
		names = append(names, l)
	}
	slices.Sort(names)
	var b bytes.Buffer
	for _, l := range names {
		slices.Sort(by[l])
		fmt.Fprintf(&b, "%s\n    %s\n", l, strings.Join(by[l], " "))
	}
	return b.Bytes()
}

// sbom returns an SPDX 2.3 document of the image's packages: versions,
// licences, sources with their hashes, and which needs which.
func (a *assembly) sbom() ([]byte, error) {
	doc := sbom.Document("image-"+a.Image.Name, time.Unix(a.epoch, 0).UTC().Format(time.RFC3339), a.record)
	ids := map[string]common.ElementID{}
	providers := map[string][]common.ElementID{}
	packages := sortedPackages(a.Packages)
	for _, p := range packages {
		m := p.Manifest()
		evr, err := m.EVR()
		if err != nil {
			return nil, err
		}
		id := sbom.ID(m.Name, evr.String())
		ids[m.Name] = id
		providers[m.Name] = append(providers[m.Name], id)
		for _, text := range m.Provides {
			if provide, err := version.ParseProvide(text); err == nil {
				providers[provide.Name] = append(providers[provide.Name], id)
			}
		}
		doc.Packages = append(doc.Packages, sbom.Package(m, evr))
		doc.Relationships = append(doc.Relationships, sbom.Relationship("DOCUMENT", common.TypeRelationshipDescribe, id))
	}
	for _, p := range packages {
		for _, needed := range needs(p.Manifest(), providers) {
			if id := ids[p.Manifest().Name]; needed != id {
				doc.Relationships = append(doc.Relationships, sbom.Relationship(id, common.TypeRelationshipDependsOn, needed))
			}
		}
	}
	var b bytes.Buffer
	err := spdxjson.Write(doc, &b, spdxjson.Indent(" "), spdxjson.EscapeHTML(false))
	return b.Bytes(), err
}

// needs lists what provides the requirements of a package, each once, sorted.
func needs(m *pkgfile.Manifest, providers map[string][]common.ElementID) (list []common.ElementID) {
	for _, text := range m.Requires {
		if d, err := version.ParseDependency(text); err == nil {
			list = append(list, providers[d.Name]...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
