package version

import "strings"

// cutTerm cuts the first term off a list: an operator and a version of one to
// three numbers (or x for any), with an epoch in front and a suffix behind it
// (pre-release, release number, or both) where there are such. What separates it
// from the next term, blanks and commas, goes too.
func cutTerm(text string) (op, epoch, number, suffix, rest string, ok bool) {
	op, rest = cutOperator(text)
	rest = strings.TrimLeft(rest, " \t")
	if n := len(rest) - len(strings.TrimLeft(rest, digits)); n > 0 && n < len(rest) && rest[n] == ':' {
		if rest[0] == '0' {
			return "", "", "", "", "", false
		}
		epoch, rest = rest[:n], rest[n+1:]
	}
	end := 0
	for part := 0; ; part++ {
		n := cutPart(rest[end:])
		if n == 0 {
			return "", "", "", "", "", false
		}
		end += n
		if part == 2 || end == len(rest) || rest[end] != '.' {
			break
		}
		end++
	}
	number, rest = rest[:end], rest[end:]
	if strings.HasPrefix(rest, "-") {
		n := 1
		for n < len(rest) && isSuffix(rest[n]) {
			n++
		}
		if n == 1 {
			return "", "", "", "", "", false
		}
		suffix, rest = rest[:n], rest[n:]
	}
	after := strings.TrimLeft(rest, " \t,")
	return op, epoch, number, suffix, after, rest == "" || len(after) < len(rest)
}

// cutOperator cuts the longest operator off the front; there need not be one.
func cutOperator(text string) (op, rest string) {
	n := 0
	if len(text) > 0 && strings.IndexByte("=!<>~^", text[0]) >= 0 {
		n = 1
		if len(text) > 1 {
			switch text[:2] {
			case "!=", ">=", "=>", "<=", "=<", "~>":
				n = 2
			}
		}
	}
	if n == 1 && text[0] == '!' {
		n = 0
	}
	return text[:n], text[n:]
}

// cutPart returns the length of the number without leading zeros, or the
// wildcard, that text begins with; 0 if it does not.
func cutPart(text string) int {
	if text == "" {
		return 0
	}
	if strings.IndexByte("0xX*", text[0]) >= 0 {
		return 1
	}
	return len(text) - len(strings.TrimLeft(text, digits))
}

func isSuffix(c byte) bool {
	return c == '.' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
