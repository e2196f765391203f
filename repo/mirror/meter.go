package mirror

import "sync"

// meter counts what arrives.
type meter struct {
	mu     sync.Mutex
	tell   func(Progress)
	now    Progress
	moves  int // objects that came from sources
	warned map[string]bool
}

func newMeter(tell func(Progress), objects int, bytes int64) *meter {
	if tell == nil {
		tell = func(Progress) {}
	}
	return &meter{tell: tell, now: Progress{TotalObjects: objects, TotalBytes: bytes}, warned: map[string]bool{}}
}

// bytes counts bytes of an object that is on its way.
func (m *meter) bytes(n int64) {
	if m == nil {
		return // an index, before it is known what is to be done
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Bytes += n
	m.tell(m.now)
}

// arrived counts an object whose bytes were counted.
func (m *meter) arrived() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves++
	m.now.Objects++
	m.tell(m.now)
}

// found counts an object that was there already.
func (m *meter) found(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Objects++
	m.now.Bytes += bytes
	m.tell(m.now)
}

// warn tells once of each thing that a source did wrong.
func (r *run) warn(err error) {
	r.meter.mu.Lock()
	again := r.meter.warned[err.Error()]
	r.meter.warned[err.Error()] = true
	r.meter.mu.Unlock()
	if !again {
		r.Warn(err)
	}
}
