package recipe

import (
	"fmt"
	"slices"
	"strings"

	"ashlar/pkgtool/strictyaml"
)

// condition evaluates an expression such as
//
//	options.pam and not (arch == x86_64 or options.tls != openssl)
//
// over values: words stand for values of that name where there is one, else for
// themselves; a lone word is true where its value is "true".
type condition struct {
	tokens []string
	values map[string]string
	at     int
}

// evaluate returns the value of a condition. An unknown option or a mistake in
// the expression is an error that says where.
func evaluate(text string, values map[string]string) (bool, error) {
	c := &condition{tokens: conditionTokens(text), values: values}
	if len(c.tokens) == 0 {
		return false, fmt.Errorf("an empty condition")
	}
	if len(c.tokens) > 200 {
		return false, fmt.Errorf("a condition of more than 200 words")
	}
	result, err := c.or()
	if err == nil && c.at < len(c.tokens) {
		err = fmt.Errorf("%q is not expected here", c.tokens[c.at])
	}
	if err != nil {
		return false, fmt.Errorf("the condition %q: %w", text, err)
	}
	return result, nil
}

// conditionTokens divides at spaces, parentheses and comparisons.
func conditionTokens(text string) []string {
	for _, mark := range []string{"(", ")", "==", "!="} {
		text = strings.ReplaceAll(text, mark, " "+mark+" ")
	}
	return strings.Fields(text)
}

func (c *condition) next() string {
	if c.at == len(c.tokens) {
		return ""
	}
	return c.tokens[c.at]
}

func (c *condition) accept(word string) bool {
	if c.next() != word {
		return false
	}
	c.at++
	return true
}

func (c *condition) or() (bool, error) {
	result, err := c.and()
	for err == nil && c.accept("or") {
		var more bool
		more, err = c.and()
		result = result || more
	}
	return result, err
}

func (c *condition) and() (bool, error) {
	result, err := c.not()
	for err == nil && c.accept("and") {
		var more bool
		more, err = c.not()
		result = result && more
	}
	return result, err
}

func (c *condition) not() (bool, error) {
	if c.accept("not") {
		result, err := c.not()
		return !result, err
	}
	if c.accept("(") {
		result, err := c.or()
		if err == nil && !c.accept(")") {
			err = fmt.Errorf("a parenthesis is not closed")
		}
		return result, err
	}
	return c.comparison()
}

func (c *condition) comparison() (bool, error) {
	left, err := c.word()
	if err != nil {
		return false, err
	}
	for _, operator := range []string{"==", "!="} {
		if c.accept(operator) {
			right, err := c.word()
			return (left == right) == (operator == "=="), err
		}
	}
	switch left {
	case "true", "false":
		return left == "true", nil
	}
	return false, fmt.Errorf("%q is neither true nor false; compare it with == or !=", left)
}

// word returns the value of the next word.
func (c *condition) word() (string, error) {
	word := c.next()
	if word == "" || slices.Contains([]string{"(", ")", "==", "!=", "and", "or", "not"}, word) {
		return "", fmt.Errorf("a name or value is missing before %q", word)
	}
	c.at++
	if value, ok := c.values[word]; ok {
		return value, nil
	}
	if name, ok := strings.CutPrefix(word, "options."); ok {
		var known []string
		for v := range c.values {
			if option, ok := strings.CutPrefix(v, "options."); ok {
				known = append(known, option)
			}
		}
		slices.Sort(known)
		if near := strictyaml.Nearest(name, known); near != "" {
			return "", fmt.Errorf("the recipe has no option %q; did you mean %q?", name, near)
		}
		return "", fmt.Errorf("the recipe has no option %q", name)
	}
	return word, nil
}
