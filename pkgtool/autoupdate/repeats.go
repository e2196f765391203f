package autoupdate

import (
	"maps"

	"ashlar/pkgtool/install"
	"ashlar/pkgtool/system"
)

// Repeats reports whether a plan would lead from the current packages to those of
// a generation that did not start: doing that again helps nobody.
func Repeats(current, failed []system.Record, steps []install.Step) bool {
	result := builds(current)
	for _, s := range steps {
		switch s.Do {
		case "remove":
			delete(result, build{s.Name, s.Version})
		default:
			if s.From != "" {
				delete(result, build{s.Name, s.From})
			}
			result[build{s.Name, s.Version}] = true
		}
	}
	return maps.Equal(result, builds(failed))
}

// build is one version of a package; of some, several are installed.
type build struct{ name, version string }

func builds(records []system.Record) map[build]bool {
	all := make(map[build]bool, len(records))
	for i := range records {
		all[build{records[i].Name, records[i].Version.String()}] = true
	}
	return all
}
