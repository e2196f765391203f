package kconfig

import (
	"errors"
	"fmt"
	"strings"
)

// statement reads one logical line.
func (p *parser) statement(file string, number int, line string, depth int) error {
	line = p.expandSpelling(line)
	if isAssignment(line) {
		return nil // variables of the compiler tests; their value is unknown here
	}
	ws, err := words(line)
	if err != nil || len(ws) == 0 {
		return err
	}
	keyword, rest := ws[0].text, ws[1:]
	if keyword != "depends" {
		p.depending = 0
	} else if p.depending++; p.depending > maxWords {
		return fmt.Errorf("more than %d conditions of one entry", maxWords)
	}
	switch keyword {
	case "source":
		p.close()
		return p.include(rest, depth)
	case "mainmenu", "comment":
		p.close()
		// A comment's "depends on" lines follow and belong to nothing.
		p.current, p.name = &Definition{}, ""
		return nil
	case "config", "menuconfig":
		return p.config(file, number, rest)
	case "menu", "choice", "if":
		return p.open(keyword, rest)
	case "endmenu", "endchoice", "endif":
		return p.pop(strings.TrimPrefix(keyword, "end"))
	case "visible":
		if len(p.blocks) == 0 || len(rest) < 2 || rest[0].text != "if" {
			return errors.New("visible needs a menu and a condition")
		}
		e, err := wholeCondition(rest[1:])
		b := p.blocks[len(p.blocks)-1]
		b.visible = And(b.visible, e)
		return err
	case "depends":
		return p.depends(rest)
	}
	if p.current == nil {
		if len(p.blocks) > 0 && p.blocks[len(p.blocks)-1].choice != nil {
			return p.choiceAttribute(keyword, rest)
		}
		return nil // $(error-if,...) and the like
	}
	return p.attribute(keyword, rest)
}

// expandSpelling replaces the few variables this reader knows.
func (p *parser) expandSpelling(line string) string {
	if strings.Contains(line, "$(") {
		return p.expand(line)
	}
	return line
}

// isAssignment recognises NAME = value, NAME := value and NAME += value at
// the start of a line.
func isAssignment(line string) bool {
	if line == "" || line[0] == ' ' || line[0] == '\t' {
		return false
	}
	i := 0
	for i < len(line) && wordByte(line[i]) {
		i++
	}
	if i == 0 {
		return false
	}
	rest := strings.TrimLeft(line[i:], " \t")
	return strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, ":=") || strings.HasPrefix(rest, "+=")
}

func (p *parser) config(file string, number int, rest []token) error {
	if len(rest) != 1 || !isSymbol(rest[0].text) {
		return errors.New("config needs one symbol")
	}
	dependsOn, visible := p.dependencies()
	p.name = rest[0].text
	p.current = &Definition{File: file, Line: number, DependsOn: dependsOn, Visible: visible}
	for i := len(p.blocks) - 1; i >= 0; i-- {
		if c := p.blocks[i].choice; c != nil {
			p.current.Choice = c
			c.Members = append(c.Members, p.name)
			break
		}
		if p.blocks[i].kind == "menu" {
			break
		}
	}
	s := p.tree.symbol(p.name)
	s.Definitions = append(s.Definitions, p.current)
	return nil
}

func (p *parser) open(kind string, rest []token) error {
	p.close()
	b := &block{kind: kind}
	switch kind {
	case "if":
		e, err := wholeCondition(rest)
		if err != nil {
			return err
		}
		b.dependsOn = e
	case "choice":
		b.choice = &Choice{}
	}
	return p.push(b)
}

func (p *parser) depends(rest []token) error {
	if len(rest) < 2 || rest[0].text != "on" {
		return errors.New(`depends needs "on" and a condition`)
	}
	e, err := wholeCondition(rest[1:])
	if err != nil {
		return err
	}
	if p.current != nil {
		p.current.DependsOn = And(p.current.DependsOn, e)
		return nil
	}
	if len(p.blocks) == 0 {
		return errors.New("depends outside an entry")
	}
	b := p.blocks[len(p.blocks)-1]
	b.dependsOn = And(b.dependsOn, e)
	return nil
}

func (p *parser) choiceAttribute(keyword string, rest []token) error {
	choice := p.blocks[len(p.blocks)-1]
	switch keyword {
	case "prompt", "bool", "tristate":
		if len(rest) == 0 {
			return nil
		}
		choice.choice.Prompt = rest[0].text
		e, err := trailingIf(rest[1:])
		choice.visible = And(choice.visible, e)
		return err
	}
	return nil
}

func (p *parser) attribute(keyword string, rest []token) error {
	d := p.current
	switch keyword {
	case "bool", "tristate", "string", "int", "hex":
		d.Type = keyword
		return p.prompt(rest)
	case "prompt":
		return p.prompt(rest)
	case "def_bool", "def_tristate":
		d.Type = strings.TrimPrefix(keyword, "def_")
		return p.defaultValue(rest)
	case "default":
		return p.defaultValue(rest)
	case "select", "imply":
		return p.reverse(keyword, rest)
	case "range", "modules", "option", "optional":
		return nil
	}
	return nil // conf refuses unknown words; for an explanation they do not matter
}

func (p *parser) prompt(rest []token) error {
	if len(rest) == 0 {
		return nil
	}
	p.current.Prompt = rest[0].text
	e, err := trailingIf(rest[1:])
	p.current.Visible = And(p.current.Visible, e)
	return err
}

func (p *parser) defaultValue(rest []token) error {
	value, rest, err := condition(rest)
	if err != nil {
		return err
	}
	e, err := trailingIf(rest)
	p.current.Defaults = append(p.current.Defaults, Default{value, e})
	return err
}

func (p *parser) reverse(keyword string, rest []token) error {
	if len(rest) == 0 || p.name == "" {
		return fmt.Errorf("%s needs a symbol", keyword)
	}
	e, err := trailingIf(rest[1:])
	if err != nil {
		return err
	}
	target := p.tree.symbol(rest[0].text)
	r := Reverse{By: p.name, If: e}
	if keyword == "select" {
		target.SelectedBy = append(target.SelectedBy, r)
	} else {
		target.ImpliedBy = append(target.ImpliedBy, r)
	}
	return nil
}

// trailingIf reads an optional "if condition" that ends a line.
func trailingIf(rest []token) (*Expression, error) {
	if len(rest) == 0 {
		return nil, nil
	}
	if rest[0].text != "if" || rest[0].quoted {
		return nil, fmt.Errorf("unexpected %q", rest[0].text)
	}
	return wholeCondition(rest[1:])
}

func wholeCondition(rest []token) (*Expression, error) {
	e, rest, err := condition(rest)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("unexpected %q after a condition", rest[0].text)
	}
	return e, err
}
