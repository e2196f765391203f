package advisory

import (
	"encoding/json"
	"time"
)

// Fix says that one build of some packages fixed a vulnerability.
type Fix struct {
	ID            string    // of our advisory
	Vulnerability string    // its name elsewhere, such as CVE-2022-37434
	Time          time.Time // when the advisory is said to be modified
	Packages      []string  // names, in the order of the document
	Version       string    // the first that has the fix, such as 1.2.13-1
	Summary       string
}

// Document returns the fix as an OSV document: all builds before are affected.
// The same fix always gives the same bytes.
func (f *Fix) Document() ([]byte, error) {
	document := struct {
		SchemaVersion string     `json:"schema_version"`
		ID            string     `json:"id"`
		Modified      time.Time  `json:"modified"`
		Aliases       []string   `json:"aliases"`
		Summary       string     `json:"summary,omitempty"`
		Affected      []Affected `json:"affected"`
	}{"1.6.7", f.ID, f.Time.UTC(), []string{f.Vulnerability}, f.Summary, nil}
	for _, name := range f.Packages {
		a := Affected{Ranges: []Range{{Type: "ECOSYSTEM", Events: []Event{{Introduced: "0"}, {Fixed: f.Version}}}}}
		a.Package.Ecosystem, a.Package.Name = Ecosystem, name
		document.Affected = append(document.Affected, a)
	}
	data, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	_, err = Parse(data)
	return data, err
}
