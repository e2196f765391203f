package mirror

import (
	"fmt"
	"time"
)

// Prometheus writes the report in the text format of Prometheus, for the
// collector that reads files.
func (r *Report) Prometheus() []byte {
	var out []byte
	label := fmt.Sprintf("{mirror=%q}", r.Mirror)
	gauge := func(name, help string, labels string, value int64) {
		out = fmt.Appendf(out, "# HELP ashlar_mirror_%[1]s %[2]s\n# TYPE ashlar_mirror_%[1]s gauge\nashlar_mirror_%[1]s%[3]s %[4]d\n", name, help, labels, value)
	}
	unix := func(t time.Time) int64 { return max(0, t.Unix()) }
	healthy := int64(0)
	if r.Healthy {
		healthy = 1
	}
	gauge("healthy", "Whether the mirror has no problem.", label, healthy)
	gauge("problems", "Number of problems.", label, int64(len(r.Problems)+r.More))
	gauge("version", "Version of the timestamp metadata shown.", label, r.Version)
	gauge("published_timestamp_seconds", "When the state shown was published.", label, unix(r.Published))
	gauge("expires_timestamp_seconds", "When clients refuse the mirror.", label, unix(r.Expires))
	gauge("synced_timestamp_seconds", "When the last complete run ended; 0 if not known.", label, unix(r.Synced))
	gauge("objects", "Objects of the state shown.", label, int64(r.Objects))
	gauge("bytes", "Bytes of the state shown.", label, r.Bytes)
	if r.Origin != nil {
		gauge("behind_seconds", "By how much the state shown is older than the origin's.", label, r.Origin.Behind)
	}
	return out
}
