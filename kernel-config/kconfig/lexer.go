package kconfig

import (
	"fmt"
	"strings"
)

// token is a word of one logical line.
type token struct {
	text   string
	quoted bool
	macro  bool
}

// maxWords bounds a logical line; the longest of Linux 6.1 has about 100.
const maxWords = 2000

// words splits a logical line into tokens. A comment ends it.
func words(line string) ([]token, error) {
	var out []token
	for i := 0; i < len(line); {
		if len(out) > maxWords {
			return nil, fmt.Errorf("a line of more than %d words", maxWords)
		}
		switch c := line[i]; {
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '#':
			return out, nil
		case c == '"' || c == '\'':
			text, next, err := quotedWord(line, i)
			if err != nil {
				return nil, err
			}
			out = append(out, token{text: text, quoted: true})
			i = next
		case strings.HasPrefix(line[i:], "&&"), strings.HasPrefix(line[i:], "||"),
			strings.HasPrefix(line[i:], "!="), strings.HasPrefix(line[i:], "<="),
			strings.HasPrefix(line[i:], ">="):
			out = append(out, token{text: line[i : i+2]})
			i += 2
		case c == '(' || c == ')' || c == '!' || c == '=' || c == '<' || c == '>':
			out = append(out, token{text: line[i : i+1]})
			i++
		case c == '$' && strings.HasPrefix(line[i:], "$("):
			end, err := macroEnd(line, i)
			if err != nil {
				return nil, err
			}
			// A macro can be a part of a word: $(m64-flag)x.
			start := i
			for i = end; i < len(line) && wordByte(line[i]); i++ {
			}
			out = append(out, token{text: line[start:i], macro: true})
		case wordByte(c):
			start := i
			for i < len(line) && wordByte(line[i]) {
				i++
			}
			out = append(out, token{text: line[start:i]})
		default:
			i++ // conf warns about a stray character and goes on
		}
	}
	return out, nil
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == '-' || c == '/' || c == '.'
}

func quotedWord(line string, start int) (text string, next int, err error) {
	quote := line[start]
	var b strings.Builder
	for i := start + 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case c == quote:
			return b.String(), i + 1, nil
		case c == '$' && strings.HasPrefix(line[i:], "$("):
			end, err := macroEnd(line, i)
			if err != nil {
				return "", 0, err
			}
			b.WriteString(line[i:end])
			i = end - 1
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("a quoted string has no end")
}

// macroEnd returns the index after the parenthesis that closes the macro
// which starts at line[start].
func macroEnd(line string, start int) (int, error) {
	depth := 0
	for i := start + 1; i < len(line); i++ {
		switch line[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		}
	}
	return 0, fmt.Errorf("a macro $( has no closing parenthesis")
}
