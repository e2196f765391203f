package debian

import (
	"reflect"
	"testing"
)

func TestParseRelations(t *testing.T) {
	got, err := ParseRelations("libc6 (>= 2.34), perl:any | python3:any (>> 3~), a (<2) ,\n b(= 1:2-3),")
	if err != nil {
		t.Fatal(err)
	}
	want := [][]Relation{
		{{Name: "libc6", Operator: ">=", Version: "2.34"}},
		{{Name: "perl", Arch: "any"}, {Name: "python3", Arch: "any", Operator: ">>", Version: "3~"}},
		{{Name: "a", Operator: "<=", Version: "2"}},
		{{Name: "b", Operator: "=", Version: "1:2-3"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, wrong := range []string{"a (", "a (2)", "a (~ 2)", "(>= 2)", "a b", "a (>= 2) c", "a |", "a [amd64]"} {
		if got, err := ParseRelations(wrong); err == nil {
			t.Errorf("%q was read as %v", wrong, got)
		}
	}
}
