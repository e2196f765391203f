package query

import (
	"time"

	"ashlar/pkgtool/system"
	"ashlar/signing"
)

// Disowned is an installed package whose packagers its repository no longer
// allows: their keys were taken out, have expired or are revoked.
type Disowned struct {
	Package   string   `json:"package"`
	Installed string   `json:"installed"`
	Repo      string   `json:"repo"`
	SignedBy  []string `json:"signed_by"` // fingerprints
}

// FindDisowned lists the installed packages that the repository they came from
// would not hand out today. packagers returns the keys that a repository allows
// now; nil where that is not known, and then nothing is said.
func FindDisowned(records []system.Record, packagers func(repo string) *signing.Keyring, now time.Time) []Disowned {
	all := []Disowned{}
	known := map[string]*signing.Keyring{}
	for i := range records {
		r := &records[i]
		if r.Repo == "" || len(r.SignedBy) == 0 {
			continue
		}
		keyring, asked := known[r.Repo]
		if !asked {
			keyring = packagers(r.Repo)
			known[r.Repo] = keyring
		}
		if keyring != nil && !anyUsable(keyring, r.SignedBy, now) {
			all = append(all, Disowned{r.Name, r.Version.String(), r.Repo, r.SignedBy})
		}
	}
	return all
}

func anyUsable(keyring *signing.Keyring, fingerprints []string, now time.Time) bool {
	for _, f := range fingerprints {
		if keyring.Usable(f, now) == nil {
			return true
		}
	}
	return false
}
