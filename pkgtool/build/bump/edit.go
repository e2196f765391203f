package bump

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// text is a recipe.yaml being changed. Its scalars are found by the parser and
// replaced in the lines, so that nothing else moves.
type text struct {
	lines []string
	root  ast.Node
}

func parse(data []byte) (*text, error) {
	file, err := parser.ParseBytes(data, parser.ParseComments)
	if err != nil || len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, fmt.Errorf("the recipe cannot be read: %w", err)
	}
	return &text{strings.Split(string(data), "\n"), file.Docs[0].Body}, nil
}

func (t *text) bytes() []byte { return []byte(strings.Join(t.lines, "\n")) }

// value returns the value under a key of a mapping, or nil.
func value(node ast.Node, key string) ast.Node {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if v.Key.GetToken().Value == key {
				return v.Value
			}
		}
	case *ast.MappingValueNode:
		if n.Key.GetToken().Value == key {
			return n.Value
		}
	}
	return nil
}

// mappings calls each for every mapping below node, in the order of the file:
// sources can stand inside conditions.
func mappings(node ast.Node, each func(ast.Node)) {
	switch n := node.(type) {
	case *ast.MappingNode:
		each(n)
		for _, v := range n.Values {
			mappings(v.Value, each)
		}
	case *ast.MappingValueNode:
		each(n)
		mappings(n.Value, each)
	case *ast.SequenceNode:
		for _, v := range n.Values {
			mappings(v, each)
		}
	}
}

// scalarOf is the text of a scalar.
func scalarOf(node ast.Node) string {
	if node == nil {
		return ""
	}
	if s, ok := node.(*ast.StringNode); ok {
		return s.Value
	}
	return node.GetToken().Value
}

// set replaces a scalar; quotes stay as they were. Scalars of one line are
// replaced from the last to the first, or their columns would no longer fit:
// so every line is changed at most once, which set makes sure of.
func (t *text) set(node ast.Node, to string) error {
	tok := node.GetToken()
	line := tok.Position.Line - 1
	if line < 0 || line >= len(t.lines) {
		return fmt.Errorf("no line %d", line+1)
	}
	runes := []rune(t.lines[line])
	at := tok.Position.Column - 1
	old, written := tok.Value, to
	switch tok.Type {
	case token.DoubleQuoteType:
		old, written = strconv.Quote(tok.Value), strconv.Quote(to)
	case token.SingleQuoteType:
		old, written = "'"+strings.ReplaceAll(tok.Value, "'", "''")+"'", "'"+strings.ReplaceAll(to, "'", "''")+"'"
	}
	if at < 0 || at > len(runes) || !strings.HasPrefix(string(runes[at:]), old) {
		// An edit before it on the same line moved it; texts that are replaced
		// are long enough to be found.
		rest := strings.Index(t.lines[line], old)
		if rest < 0 {
			return fmt.Errorf("line %d: %q is not where the parser saw it", line+1, old)
		}
		t.lines[line] = t.lines[line][:rest] + written + t.lines[line][rest+len(old):]
		return nil
	}
	t.lines[line] = string(runes[:at]) + written + strings.TrimPrefix(string(runes[at:]), old)
	return nil
}

// setKey sets a scalar at the top of the recipe. One that is not there gets a
// line after the key named last; to "" its line is removed.
func (t *text) setKey(key, to, after string) error {
	node := value(t.root, key)
	switch {
	case node == nil && to == "":
		return nil
	case node == nil:
		before := value(t.root, after)
		if before == nil {
			return fmt.Errorf("the recipe has no %s", after)
		}
		line := before.GetToken().Position.Line - 1
		t.lines[line] += "\n" + key + ": " + strconv.Quote(to)
		return nil
	case to == "":
		t.lines[node.GetToken().Position.Line-1] = removed
		return nil
	}
	return t.set(node, to)
}

// removed marks a line to leave out; no line of a YAML file can be it.
const removed = "\x00"

// finish drops the lines that were removed.
func (t *text) finish() []byte {
	var kept []string
	for _, line := range t.lines {
		if line != removed {
			kept = append(kept, line)
		}
	}
	return []byte(strings.Join(kept, "\n"))
}
