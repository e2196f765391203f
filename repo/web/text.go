package web

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Texts of packages and advisories reach people's screens. What could deceive
// a reader is replaced, and what is endless is cut.

// line makes text fit for one line of at most most characters.
func line(text string, most int) string { return clean(text, most, "") }

// lines is line for text of several lines.
func lines(text string, most int) string { return clean(text, most, "\n\t") }

func clean(text string, most int, allowed string) string {
	var b strings.Builder
	count := 0
	for _, r := range text {
		if count++; count > most {
			return strings.TrimRight(b.String(), " ") + "…"
		}
		switch {
		case r == '\r' && strings.Contains(allowed, "\n"):
		case strings.ContainsRune(allowed, r), unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteRune(utf8.RuneError)
		}
	}
	return b.String()
}

const maxAddress = 2000 // bytes

// address returns a page of the World Wide Web that a text names, or "" if it
// does not name one that is safe to follow.
func address(text string) string {
	if len(text) > maxAddress || text != line(text, maxAddress) {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Opaque != "" {
		return ""
	}
	return u.String()
}

// size writes a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n)/unit, "KMGTP"
	for value >= unit && len(units) > 1 {
		value, units = value/unit, units[1:]
	}
	if value < 10 {
		return fmt.Sprintf("%.1f %ciB", value, units[0])
	}
	return fmt.Sprintf("%.0f %ciB", value, units[0])
}

// number writes a count with its thousands apart.
func number(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// day and moment write times for people, in UTC.
func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// span writes a duration in its largest unit.
func span(d time.Duration) string {
	minutes := int64(d.Abs() / time.Minute)
	for _, unit := range []struct {
		minutes int64
		name    string
	}{{24 * 60, "day"}, {60, "hour"}} {
		if n := minutes / unit.minutes; n > 0 {
			return plural(n, unit.name)
		}
	}
	if minutes == 0 {
		return "less than a minute"
	}
	return plural(minutes, "minute")
}

func plural(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%s %ss", number(int(n)), unit)
}
