package client

import (
	"testing"
	"time"

	"ashlar/repo/transport"
)

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "less than a minute", 30 * time.Second: "less than a minute", time.Minute: "1 minute", 59 * time.Minute: "59 minutes",
		time.Hour: "1 hour", 25 * time.Hour: "1 day", 240 * time.Hour: "10 days",
	} {
		if got := Age(d); got != want {
			t.Errorf("%v: %q instead of %q", d, got, want)
		}
	}
}

func TestLimitsOfADefinition(t *testing.T) {
	usual := transport.Limits{}.OrDefault()
	if got := (&Config{}).limits(transport.Limits{}); got != usual {
		t.Errorf("%+v", got)
	}
	got := (&Config{Timeout: 60, MinimumRate: 5}).limits(transport.Limits{Attempts: 7})
	if got.Stall != time.Minute || got.Connect != 10*time.Second || got.Metadata != 10*time.Minute || got.MinimumRate != 5 || got.Attempts != 7 {
		t.Errorf("%+v", got)
	}
	for _, wrong := range []Config{{Timeout: -1}, {Timeout: 4000}, {MinimumRate: -1}, {MinimumRate: 1 << 40}, {WarnAfter: -1}, {WarnAfter: 9999}} {
		wrong.Schema, wrong.Name, wrong.URLs = 1, "x", []string{"http://example.org/"}
		wrong.setDefaults()
		if wrong.validate() == nil {
			t.Errorf("taken: %+v", wrong)
		}
	}
}
