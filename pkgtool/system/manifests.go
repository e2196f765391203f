package system

import (
	"runtime"
	"sync"
	"sync/atomic"

	"ashlar/pkgtool/pkgfile"
)

// loadManifests reads the manifests of these packages with all cores, so that
// Manifest has them at once. What cannot be read is left to Manifest's error.
func (s *System) loadManifests(records []Record) {
	read := make([]*pkgfile.Manifest, len(records))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(records)) {
		d := s.disk.clone()
		group.Go(func() {
			defer d.forget("")
			for i := int(next.Add(1)) - 1; i < len(records); i = int(next.Add(1)) - 1 {
				if s.manifests[records[i].Manifest] == nil {
					read[i], _ = d.readManifest(records[i].Name, records[i].Manifest)
				}
			}
		})
	}
	group.Wait()
	for i, m := range read {
		if m != nil {
			s.manifests[records[i].Manifest] = m
		}
	}
}
