package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"
)

// Whatever a command prints, a terminal only shows it, and a program that reads
// the JSON gets it back.
func TestNothingReachesTheTerminalRaw(t *testing.T) {
	evil := "x\x1b[2J\x1b]52;c;AA\a\r\u009b2J\u202e\x7f\u2028\U000e0041 é😀"
	for _, isJSON := range []bool{false, true} {
		var out, errOut bytes.Buffer
		app := &App{Out: &out, Err: &errOut, JSON: isJSON}
		if err := app.Print(map[string]string{"text": evil}, func(w io.Writer) { fmt.Fprintln(w, evil) }); err != nil {
			t.Fatal(err)
		}
		app.Say("%s", evil)
		app.printError(errors.New(evil), 1)
		for _, text := range []string{out.String(), errOut.String()} {
			if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 || text == "" {
				t.Errorf("raw character at %d of %q", i, text)
			}
			if !strings.Contains(text, "é😀") {
				t.Errorf("printable characters are lost: %q", text)
			}
		}
		if isJSON {
			var back map[string]string
			if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["text"] != evil {
				t.Errorf("JSON gives %q, %v", back["text"], err)
			}
		}
	}
}
