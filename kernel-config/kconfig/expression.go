package kconfig

import (
	"fmt"
	"strings"
)

// Tristate is a symbol's or an expression's value. Unknown stands for what
// only the real conf can tell: a macro that asks the compiler.
type Tristate int8

// The values in Kconfig's order: and is the minimum, or the maximum.
const (
	No Tristate = iota
	Module
	Yes
	Unknown
)

func (t Tristate) String() string { return [...]string{"n", "m", "y", "?"}[t] }

// Values gives today's value of a symbol as a .config writes it: y, m, n, a
// number, or a string without quotes; "n" for one that is not there.
type Values func(symbol string) string

// Expression is a condition of the Kconfig language.
type Expression struct {
	// Op is "&&", "||", "!", a comparison, or "" for a leaf.
	Op          string
	Left, Right *Expression
	// Leaf is a symbol's name, a constant, or a macro's text.
	Leaf   string
	Quoted bool // Leaf is a string constant
	Macro  bool // Leaf is $(...)
}

// And joins two conditions; nil means no condition.
func And(a, b *Expression) *Expression {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return &Expression{Op: "&&", Left: a, Right: b}
}

func (e *Expression) String() string { return e.text(0) }

func precedence(op string) int {
	switch op {
	case "||":
		return 1
	case "&&":
		return 2
	case "!":
		return 4
	case "":
		return 5
	}
	return 3
}

func (e *Expression) text(outer int) string {
	if e == nil {
		return "y"
	}
	own := precedence(e.Op)
	var s string
	switch {
	case e.Op == "" && e.Quoted:
		s = fmt.Sprintf("%q", e.Leaf)
	case e.Op == "":
		s = e.Leaf
	case e.Op == "!":
		s = "!" + e.Left.text(own)
	default:
		s = e.Left.text(own) + " " + e.Op + " " + e.Right.text(own)
	}
	if own < outer {
		return "(" + s + ")"
	}
	return s
}

// Evaluate computes the condition with today's values.
func (e *Expression) Evaluate(values Values) Tristate {
	if e == nil {
		return Yes
	}
	switch e.Op {
	case "":
		return e.leafValue(values)
	case "!":
		v := e.Left.Evaluate(values)
		if v == Unknown {
			return Unknown
		}
		return Yes - v
	case "&&":
		a, b := e.Left.Evaluate(values), e.Right.Evaluate(values)
		if a == No || b == No {
			return No
		}
		if a == Unknown || b == Unknown {
			return Unknown
		}
		return min(a, b)
	case "||":
		a, b := e.Left.Evaluate(values), e.Right.Evaluate(values)
		if a == Yes || b == Yes {
			return Yes
		}
		return max(a, b)
	}
	return e.compare(values)
}

func (e *Expression) leafValue(values Values) Tristate {
	if e.Macro {
		return Unknown
	}
	if strings.Contains(e.Leaf, "$(") {
		return Unknown
	}
	v := e.Leaf
	if !e.Quoted && v != "y" && v != "m" && v != "n" {
		v = values(v)
	}
	switch v {
	case "y":
		return Yes
	case "m":
		return Module
	}
	return No
}

func (e *Expression) compare(values Values) Tristate {
	if e.Left == nil || e.Right == nil || e.Left.Op != "" || e.Right.Op != "" {
		return Unknown
	}
	a, okA := e.Left.constant(values)
	b, okB := e.Right.constant(values)
	if !okA || !okB {
		return Unknown
	}
	sign := strings.Compare(a, b)
	if x, y, numeric := numbers(a, b); numeric {
		sign = x.Cmp(y)
	}
	holds := false
	switch e.Op {
	case "=":
		holds = sign == 0
	case "!=":
		holds = sign != 0
	case "<":
		holds = sign < 0
	case "<=":
		holds = sign <= 0
	case ">":
		holds = sign > 0
	case ">=":
		holds = sign >= 0
	}
	if holds {
		return Yes
	}
	return No
}

func (e *Expression) constant(values Values) (string, bool) {
	switch {
	case e.Macro, strings.Contains(e.Leaf, "$("):
		return "", false
	case e.Quoted, e.Leaf == "y", e.Leaf == "m", e.Leaf == "n":
		return e.Leaf, true
	}
	if c := e.Leaf[0]; c >= '0' && c <= '9' || c == '-' {
		return e.Leaf, true
	}
	return values(e.Leaf), true
}

// Symbols lists the symbols the condition names, each once, in order.
func (e *Expression) Symbols() []string {
	var names []string
	seen := map[string]bool{}
	var walk func(*Expression)
	walk = func(e *Expression) {
		if e == nil {
			return
		}
		if e.Op == "" {
			n := e.Leaf
			if !e.Quoted && !e.Macro && isSymbol(n) && !seen[n] {
				seen[n] = true
				names = append(names, n)
			}
			return
		}
		walk(e.Left)
		walk(e.Right)
	}
	walk(e)
	return names
}

// Unmet returns the parts of the condition, joined by "and", whose value is
// below wanted.
func (e *Expression) Unmet(values Values, wanted Tristate) []*Expression {
	if e == nil {
		return nil
	}
	if e.Op == "&&" {
		return append(e.Left.Unmet(values, wanted), e.Right.Unmet(values, wanted)...)
	}
	if e.Evaluate(values) < wanted {
		return []*Expression{e}
	}
	return nil
}

func isSymbol(word string) bool {
	if word == "" || word == "y" || word == "n" || word == "m" {
		return false
	}
	if c := word[0]; c >= '0' && c <= '9' {
		// 64BIT and 8139TOO are symbols, 4096 and 0x10 are numbers.
		if len(word) > 1 && word[0] == '0' && (word[1] == 'x' || word[1] == 'X') {
			return false
		}
		return strings.Trim(word, "0123456789") != ""
	}
	return word[0] != '-' && word[0] != '$'
}
