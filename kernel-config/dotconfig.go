package kernelconfig

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// maxConfigSize bounds a .config; a kernel with everything on has 300 KiB.
const maxConfigSize = 8 << 20

// Config is the content of a .config file or of a fragment.
type Config struct {
	// Kernel and Arch come from the first lines that the kernel's tools write
	// ("Linux/x86 6.1.170 Kernel Configuration"); "" when they are not there.
	Kernel, Arch string

	order  []string
	values map[string]string
	lines  map[string]int
}

var (
	headerLine = regexp.MustCompile(`^# Linux/(\w+) (\d+\.\d+[-.\w]*) Kernel Configuration$`)
	notSetLine = regexp.MustCompile(`^# CONFIG_([A-Za-z0-9_]+) is not set$`)
	valueLine  = regexp.MustCompile(`^CONFIG_([A-Za-z0-9_]+)=(y|m|n|-?[0-9]+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*")$`)
)

// ParseConfig reads .config text. name stands for the file in errors. A line
// that is neither a value, a "is not set" comment nor a comment is an error,
// and so is a symbol that stands twice with different values.
func ParseConfig(name string, r io.Reader) (*Config, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxConfigSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxConfigSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, maxConfigSize)
	}
	c := &Config{values: map[string]string{}, lines: map[string]int{}}
	var problems []error
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 1<<20)
	for n := 1; scanner.Scan(); n++ {
		if err := c.line(n, strings.TrimSpace(scanner.Text())); err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", name, n, err))
		}
	}
	if err := scanner.Err(); err != nil {
		problems = append(problems, fmt.Errorf("%s: %w", name, err))
	}
	return c, errors.Join(problems...)
}

// ReadConfig is ParseConfig for a file.
func ReadConfig(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseConfig(path, f)
}

func (c *Config) line(n int, text string) error {
	symbol, value := "", ""
	if m := valueLine.FindStringSubmatch(text); m != nil {
		symbol, value = m[1], m[2]
	} else if m := notSetLine.FindStringSubmatch(text); m != nil {
		symbol, value = m[1], "n"
	} else if m := headerLine.FindStringSubmatch(text); m != nil {
		c.Arch, c.Kernel = m[1], m[2]
		return nil
	} else if text == "" || text[0] == '#' {
		return nil
	} else {
		return fmt.Errorf("%q is no line of a .config", text)
	}
	if old, ok := c.values[symbol]; ok && old != value {
		return fmt.Errorf("%s=%s, but line %d says %s", symbol, value, c.lines[symbol], old)
	}
	c.set(symbol, value, n)
	return nil
}

func (c *Config) set(symbol, value string, line int) {
	if _, ok := c.values[symbol]; !ok {
		c.order = append(c.order, symbol)
	}
	c.values[symbol], c.lines[symbol] = value, line
}

// Value returns the symbol's value as the file spells it, and "n" for one
// that is not there.
func (c *Config) Value(symbol string) string {
	if v, ok := c.values[symbol]; ok {
		return v
	}
	return "n"
}

// Has reports whether the file says anything about the symbol.
func (c *Config) Has(symbol string) bool {
	_, ok := c.values[symbol]
	return ok
}

// Symbols lists the symbols in the file's order.
func (c *Config) Symbols() []string { return c.order }

// plain is Value without the quotes of a string.
func (c *Config) plain(symbol string) string {
	v := c.Value(symbol)
	if len(v) >= 2 && v[0] == '"' {
		v = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(v[1 : len(v)-1])
	}
	return v
}

// assignment writes one line of a .config.
func assignment(symbol, value string) string {
	if value == "n" {
		return "# CONFIG_" + symbol + " is not set"
	}
	return "CONFIG_" + symbol + "=" + value
}
