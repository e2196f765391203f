package release

import (
	"testing"
	"time"
)

func TestPhases(t *testing.T) {
	var p phases
	p.begin("build")
	p.since = p.since.Add(-2 * time.Second)
	p.begin("publish")
	p.since = p.since.Add(-time.Second)
	p.begin("")
	if len(p.list) != 2 || p.list[0].Step != "build" || p.list[1].Step != "publish" {
		t.Fatalf("phases %+v", p.list)
	}
	for i, least := range []float64{2, 1} {
		if got := p.list[i].Seconds; got < least || got > least+0.9 {
			t.Errorf("%s took %v s, want %v", p.list[i].Step, got, least)
		}
	}
}
