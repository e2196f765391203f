package recipe

import (
	"os"
	"strings"
	"testing"
)

// Every kind of finding has its row in the description of the format.
func TestFindingsAreDescribed(t *testing.T) {
	page, err := os.ReadFile("../../../docs/formats/recipe.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Findings {
		if row := "| `" + f.ID + "` | " + f.Rule + " | " + f.Remedy + " |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/formats/recipe.md lacks the row\n%s", row)
		}
	}
	for _, split := range Splits {
		if !strings.Contains(string(page), "| `"+split+"` |") {
			t.Errorf("docs/formats/recipe.md does not say what split %s takes", split)
		}
	}
}
