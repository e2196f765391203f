package advisory

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// FormatVersion is the version of the file that a repository publishes.
const FormatVersion = 1

const (
	maxAdvisories = 1_000_000
	maxWindow     = 8 << 20
)

// header is the first line of the file.
type header struct {
	Format     int `json:"ashlar_advisories"`
	Advisories int `json:"advisories"`
}

// Encode writes the file of a repository: a header line, then a document on
// each line, sorted by identifier, in zstd. It also returns the length before
// compression, which the signed targets state.
func Encode(all []*Advisory) (data []byte, plain int64, err error) {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b *Advisory) int { return strings.Compare(a.ID, b.ID) })
	var text bytes.Buffer
	first, err := json.Marshal(header{FormatVersion, len(sorted)})
	if err != nil {
		return nil, 0, err
	}
	text.Write(append(first, '\n'))
	for _, a := range sorted {
		text.Write(append(a.raw, '\n'))
	}
	// One goroutine: the output must not depend on the number of cores.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(maxWindow))
	if err != nil {
		return nil, 0, err
	}
	defer z.Close()
	return z.EncodeAll(text.Bytes(), nil), int64(text.Len()), nil
}

// Decode reads the file of a repository, of at most size bytes when
// decompressed. Its input is expected to have matched a signed hash.
func Decode(data []byte, size int64) ([]*Advisory, error) {
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderMaxMemory(uint64(size)+maxWindow))
	if err != nil {
		return nil, fmt.Errorf("advisories: %w", err)
	}
	defer z.Close()
	lines := bufio.NewScanner(z)
	lines.Buffer(make([]byte, 0, 64<<10), MaxSize+1)
	var h header
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &h) != nil || h.Format != FormatVersion {
		return nil, fmt.Errorf("advisories: no header of format %d", FormatVersion)
	}
	if h.Advisories < 0 || h.Advisories > maxAdvisories {
		return nil, fmt.Errorf("advisories: %d are stated; at most %d are allowed", h.Advisories, maxAdvisories)
	}
	var all []*Advisory
	read := int64(len(lines.Bytes()))
	for lines.Scan() {
		if read += int64(len(lines.Bytes())) + 1; read > size {
			return nil, fmt.Errorf("advisories: longer than the %d bytes stated", size)
		}
		a, err := Parse(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("advisories: line %d: %w", len(all)+2, err)
		}
		if len(all) > 0 && all[len(all)-1].ID >= a.ID {
			return nil, fmt.Errorf("advisories: line %d: %s is out of order", len(all)+2, a.ID)
		}
		all = append(all, a)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("advisories: line %d: %w", len(all)+2, err)
	}
	if len(all) != h.Advisories {
		return nil, fmt.Errorf("advisories: %d are stated and %d are there", h.Advisories, len(all))
	}
	return all, nil
}
