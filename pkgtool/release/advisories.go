package release

import (
	"fmt"
	"time"

	"ashlar/pkgtool/build/recipe"
	"ashlar/repo/advisory"
)

// advisoryPrefix begins the names of the advisories that are made from recipes.
const advisoryPrefix = "ASHLAR-"

// Advisories returns the OSV documents of what recipes say they fixed
// (security.fixed), one for each recipe and vulnerability. Whoever has an older
// build installed learns from them what it lacks.
func Advisories(recipes ...*recipe.Recipe) ([][]byte, error) {
	var documents [][]byte
	for _, r := range recipes {
		if r.Security == nil {
			continue
		}
		var packages []string
		for i := range r.Packages {
			if !r.Packages[i].Implicit {
				packages = append(packages, r.Packages[i].Name)
			}
		}
		for _, fixed := range r.Security.Fixed {
			fix := advisory.Fix{
				ID: advisoryPrefix + r.Name + "-" + fixed.ID, Vulnerability: fixed.ID,
				Time: time.Unix(r.EpochOf(), 0), Packages: packages, Version: fixed.In,
				Summary: fixed.ID + " in " + r.Name,
			}
			data, err := fix.Document()
			if err != nil {
				return nil, fmt.Errorf("recipe %s: %s: %w", r.Name, fixed.ID, err)
			}
			documents = append(documents, data)
		}
	}
	return documents, nil
}
