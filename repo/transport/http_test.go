package transport

import (
	"fmt"
	"testing"
)

func TestParseContentRange(t *testing.T) {
	for text, want := range map[string]string{
		"bytes 0-0/1":    "{0 0 1}",
		"bytes 5-9/10":   "{5 9 10}",
		"bytes 5-9/*":    "{5 9 -1}",
		"bytes 9-5/10":   "",
		"bytes 5-10/10":  "",
		"bytes 5-9/":     "",
		"bytes 5-9":      "",
		"bytes */10":     "",
		"bytes -5-9/10":  "",
		"bytes +5-9/10":  "",
		"bytes 5 - 9/10": "",
		"bytes 5-9/10 ":  "",
		"bytes 5-99999999999999999999/9999999999": "",
		"BYTES 5-9/10": "",
		"":             "",
	} {
		r, ok := parseContentRange([]string{text})
		if got := fmt.Sprint(r); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %s, %t; want %q", text, got, ok, want)
		}
	}
	if _, ok := parseContentRange([]string{"bytes 0-0/1", "bytes 0-0/1"}); ok {
		t.Error("two headers were taken for one")
	}
	if _, ok := parseContentRange(nil); ok {
		t.Error("no header was taken for one")
	}
}
