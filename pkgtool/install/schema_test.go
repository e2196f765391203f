package install

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the published schemas")

func TestPublishedSchemasAreCurrent(t *testing.T) {
	for published, schema := range map[string]func() ([]byte, error){
		"../../docs/formats/world.schema.json": WorldSchema, "../../docs/formats/holds.schema.json": HoldsSchema,
	} {
		want, err := schema()
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(published, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(published); !bytes.Equal(got, want) {
			t.Errorf("%s is not what the types say (%v); run: go test ./pkgtool/install -update", published, err)
		}
	}
}
