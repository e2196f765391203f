package debian

import (
	"bufio"
	"encoding/json"
	"io"
)

// WriteLines writes lines as the JSON that pkgtool solve reads.
func WriteLines(w io.Writer, lines []Line) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for i := range lines {
		if err := enc.Encode(&lines[i]); err != nil {
			return err
		}
	}
	return out.Flush()
}
