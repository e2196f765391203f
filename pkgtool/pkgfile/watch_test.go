package pkgfile

import (
	"runtime"
	"testing"
	"time"
)

// watchHeap returns by how many bytes the heap in use grew at most while do ran,
// as sampled every millisecond.
func watchHeap(t testing.TB, do func()) int64 {
	t.Helper()
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before, peak := stats.HeapInuse, stats.HeapInuse
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				runtime.ReadMemStats(&stats)
				peak = max(peak, stats.HeapInuse)
			case <-stop:
				return
			}
		}
	}()
	do()
	close(stop)
	<-stopped
	return int64(peak - before)
}
