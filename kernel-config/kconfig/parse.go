package kconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Bounds on input; Linux 6.1 has 1,500 files, the longest 90 KiB, 8 deep.
const (
	maxFiles    = 20_000
	maxFileSize = 4 << 20
	maxDepth    = 40
)

// Read parses the Kconfig tree that starts at the file Kconfig of source, for
// the architecture folder srcarch ("x86"). Errors name file and line.
func Read(source fs.FS, srcarch string) (*Tree, error) {
	p := &parser{
		source: source,
		tree:   &Tree{Symbols: map[string]*Symbol{}},
		variables: map[string]string{
			"SRCARCH": srcarch, "ARCH": srcarch, "srctree": ".", "HEADER_ARCH": srcarch,
		},
	}
	if err := p.file("Kconfig", 0); err != nil {
		return nil, err
	}
	if len(p.blocks) > 0 {
		return nil, fmt.Errorf("Kconfig: a %s has no end", p.blocks[len(p.blocks)-1].kind)
	}
	return p.tree, nil
}

// block is an open menu, if or choice.
type block struct {
	kind      string
	dependsOn *Expression
	visible   *Expression
	choice    *Choice
}

type parser struct {
	source    fs.FS
	tree      *Tree
	variables map[string]string
	blocks    []*block
	current   *Definition // the config entry whose attributes follow
	name      string      // its symbol
	depending int         // "depends on" lines since the last entry began
}

func (p *parser) file(name string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: files include each other deeper than %d", name, maxDepth)
	}
	if p.tree.Files++; p.tree.Files > maxFiles {
		return fmt.Errorf("%s: more than %d Kconfig files", name, maxFiles)
	}
	text, err := p.read(name)
	if err != nil {
		return err
	}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); {
		number := i + 1
		line := lines[i]
		i++
		for strings.HasSuffix(line, "\\") && i < len(lines) {
			line = strings.TrimSuffix(line, "\\") + lines[i]
			i++
		}
		if word := strings.TrimSpace(line); word == "help" || word == "---help---" {
			i = skipHelp(lines, i)
			continue
		}
		if err := p.statement(name, number, line, depth); err != nil {
			var nested *positionError
			if errors.As(err, &nested) {
				return err
			}
			return &positionError{name, number, err}
		}
	}
	p.close()
	return nil
}

type positionError struct {
	file string
	line int
	err  error
}

func (e *positionError) Error() string { return fmt.Sprintf("%s:%d: %v", e.file, e.line, e.err) }
func (e *positionError) Unwrap() error { return e.err }

func (p *parser) read(name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", fmt.Errorf("source %q leaves the source tree", name)
	}
	f, err := p.source.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxFileSize {
		return "", fmt.Errorf("%s: larger than %d bytes", name, maxFileSize)
	}
	return string(data), nil
}

// skipHelp returns the index of the first line after a help text: the text
// ends at the first line that is indented less than its first line.
func skipHelp(lines []string, i int) int {
	indent := -1
	for ; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) == "" {
			continue
		}
		width := indentation(lines[i])
		if indent < 0 {
			if width == 0 {
				return i
			}
			indent = width
		}
		if width < indent {
			return i
		}
	}
	return i
}

func indentation(line string) int {
	width := 0
	for _, c := range line {
		switch c {
		case ' ':
			width++
		case '\t':
			width = width/8*8 + 8
		default:
			return width
		}
	}
	return width
}

// close ends the current config entry.
func (p *parser) close() { p.current = nil }

// dependencies joins the conditions of all open blocks.
func (p *parser) dependencies() (dependsOn, visible *Expression) {
	for _, b := range p.blocks {
		dependsOn = And(dependsOn, b.dependsOn)
		visible = And(visible, b.visible)
	}
	return dependsOn, visible
}

func (p *parser) push(b *block) error {
	if len(p.blocks) >= maxNesting {
		return fmt.Errorf("menus nested deeper than %d", maxNesting)
	}
	p.blocks = append(p.blocks, b)
	return nil
}

func (p *parser) pop(kind string) error {
	p.close()
	if len(p.blocks) == 0 || p.blocks[len(p.blocks)-1].kind != kind {
		return fmt.Errorf("end%s without %s", kind, kind)
	}
	p.blocks = p.blocks[:len(p.blocks)-1]
	return nil
}

// expand replaces $(NAME) by the variables this reader knows.
func (p *parser) expand(text string) string {
	for name, value := range p.variables {
		text = strings.ReplaceAll(text, "$("+name+")", value)
	}
	return text
}

func (p *parser) include(words []token, depth int) error {
	if len(words) != 1 {
		return errors.New("source needs one file name")
	}
	name := p.expand(words[0].text)
	if strings.Contains(name, "$(") {
		return fmt.Errorf("source %q: unknown variable", name)
	}
	return p.file(path.Clean(name), depth+1)
}
