package boot

import "testing"

func TestKeyFilter(t *testing.T) {
	cases := []struct {
		name  string
		in    []string
		typed string
		quit  bool
	}{
		{"plain", []string{"ls\r"}, "ls\r", false},
		{"quit", []string{"ls\x01x"}, "", true},
		{"quit, cut in two", []string{"ls\x01", "X"}, "ls", true},
		{"a literal Ctrl-A", []string{"a\x01\x01b"}, "a\x01b", false},
		{"another key", []string{"\x01b"}, "\x01b", false},
		{"Ctrl-C is the guest's", []string{"\x03"}, "\x03", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var k keyFilter
			typed, quit := "", false
			for _, in := range c.in {
				out, q := k.filter([]byte(in))
				typed, quit = typed+string(out), quit || q
			}
			if typed != c.typed || quit != c.quit {
				t.Errorf("typed %q, quit %v", typed, quit)
			}
		})
	}
}
