package autoupdate

import (
	"bytes"
	"os"
	"testing"
)

func TestPublishedSchemaIsCurrent(t *testing.T) {
	const path = "../../docs/formats/autoupdate.schema.json"
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(path, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, schema) {
		t.Errorf("%s is not of this program; run the test with UPDATE_GOLDEN=1 (%v)", path, err)
	}
}
