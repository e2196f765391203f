package boot

import (
	"slices"
	"testing"
)

func clean(chunks ...string) []string {
	var lines []string
	c := cleaner{emit: func(l string) { lines = append(lines, l) }}
	for _, chunk := range chunks {
		c.Write([]byte(chunk))
	}
	return append(lines, c.partial())
}

func TestCleaner(t *testing.T) {
	cases := []struct {
		name, in string
		want     []string
	}{
		{"plain", "a\nb", []string{"a", "b"}},
		{"carriage returns", "a\r\nb\r\r\nc", []string{"a", "b", "c"}},
		{"colours", "\x1b[0;1;32mok\x1b[0m done\n", []string{"ok done", ""}},
		{"a jump of the cursor ends a line", "menu\x1b[5;10Hentry\n", []string{"menu", "entry", ""}},
		{"progress", "1%\r2%\r3%\n", []string{"1%", "2%", "3%", ""}},
		{"title", "\x1b]0;host: ~\x07$ ls\n", []string{"$ ls", ""}},
		{"title with another end", "\x1b]0;host\x1b\\$ \n", []string{"$", ""}},
		{"backspace", "abx\bc\n", []string{"abc", ""}},
		{"bracketed paste", "\x1b[?2004h# \x1b[?2004l", []string{"#"}},
		{"no text", "\x00\x01\xff\n", []string{"\uFFFD", ""}},
		{"prompt", "login: ", []string{"login:"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := clean(c.in); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzCleaner(f *testing.F) {
	f.Add("a\r\n\x1b[1;32mb\x1b]0;t\x07\b", 3)
	f.Fuzz(func(t *testing.T, in string, cut int) {
		if cut < 0 || cut > len(in) {
			return
		}
		whole, parts := clean(in), clean(in[:cut], in[cut:])
		if !slices.Equal(whole, parts) {
			t.Fatalf("in one piece %q, cut %q", whole, parts)
		}
		for _, line := range whole {
			for _, r := range line {
				if r < 0x20 && r != '\t' || r == 0x7f {
					t.Fatalf("a control character is left in %q", line)
				}
			}
			if len(line) > 3*maxLine {
				t.Fatalf("a line of %d bytes", len(line))
			}
		}
	})
}
