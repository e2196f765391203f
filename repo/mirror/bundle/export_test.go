package bundle

import "bytes"

// Read reads a bundle in memory.
func Read(data []byte) (*Bundle, error) {
	b, err := read(bytes.NewReader(data), int64(len(data)), "fuzzed")
	if err == nil {
		b.close = func() error { return nil }
	}
	return b, err
}
