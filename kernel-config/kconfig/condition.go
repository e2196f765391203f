package kconfig

import "fmt"

// maxNesting bounds parentheses and negations, so that a hostile file cannot
// exhaust the stack. Real files stay below 10.
const maxNesting = 200

// condition reads an expression from the start of words and returns the rest.
// Precedence, low to high: ||, &&, !, comparison.
func condition(words []token) (*Expression, []token, error) {
	p := expressionParser{words: words}
	e, err := p.or(0)
	return e, p.words, err
}

type expressionParser struct{ words []token }

func (p *expressionParser) operator(text string) bool {
	if len(p.words) > 0 && p.words[0].text == text && !p.words[0].quoted {
		p.words = p.words[1:]
		return true
	}
	return false
}

func (p *expressionParser) or(depth int) (*Expression, error) {
	left, err := p.and(depth)
	for err == nil && p.operator("||") {
		var right *Expression
		right, err = p.and(depth)
		left = &Expression{Op: "||", Left: left, Right: right}
	}
	return left, err
}

func (p *expressionParser) and(depth int) (*Expression, error) {
	left, err := p.unary(depth)
	for err == nil && p.operator("&&") {
		var right *Expression
		right, err = p.unary(depth)
		left = &Expression{Op: "&&", Left: left, Right: right}
	}
	return left, err
}

func (p *expressionParser) unary(depth int) (*Expression, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("a condition is nested deeper than %d", maxNesting)
	}
	if p.operator("!") {
		inner, err := p.unary(depth + 1)
		return &Expression{Op: "!", Left: inner}, err
	}
	if p.operator("(") {
		inner, err := p.or(depth + 1)
		if err == nil && !p.operator(")") {
			err = fmt.Errorf("a parenthesis is not closed")
		}
		return inner, err
	}
	left, err := p.leaf()
	if err != nil {
		return nil, err
	}
	for _, op := range []string{"=", "!=", "<=", ">=", "<", ">"} {
		if p.operator(op) {
			right, err := p.leaf()
			return &Expression{Op: op, Left: left, Right: right}, err
		}
	}
	return left, nil
}

func (p *expressionParser) leaf() (*Expression, error) {
	if len(p.words) == 0 {
		return nil, fmt.Errorf("a condition ends too early")
	}
	w := p.words[0]
	if !w.quoted && !w.macro && !wordByte(w.text[0]) {
		return nil, fmt.Errorf("unexpected %q in a condition", w.text)
	}
	p.words = p.words[1:]
	return &Expression{Leaf: w.text, Quoted: w.quoted, Macro: w.macro}, nil
}
