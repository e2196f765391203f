package kconfig

// Tree is all symbols of a kernel source for one architecture.
type Tree struct {
	Symbols map[string]*Symbol
	Files   int // how many Kconfig files were read
}

// Symbol is a configuration symbol. One may be defined in several places.
type Symbol struct {
	Name        string
	Definitions []*Definition
	// SelectedBy and ImpliedBy name who forces or suggests this symbol.
	SelectedBy, ImpliedBy []Reverse
}

// Definition is one config entry.
type Definition struct {
	File   string
	Line   int
	Type   string // bool, tristate, string, int, hex, or "" when another entry says it
	Prompt string // "" for a symbol that nobody can ask for
	// Visible is when the prompt can be answered, beyond DependsOn; nil is always.
	Visible   *Expression
	DependsOn *Expression // own and inherited from menus and if blocks
	Defaults  []Default
	Choice    *Choice // not nil when it is a member of a choice
}

// Default is a value taken when nobody sets the symbol.
type Default struct{ Value, If *Expression }

// Choice is a group of which one member is set.
type Choice struct {
	Prompt  string
	Members []string
}

// Reverse is a select or imply, seen from its target.
type Reverse struct {
	By string
	If *Expression // nil is always
}

func (t *Tree) symbol(name string) *Symbol {
	s := t.Symbols[name]
	if s == nil {
		s = &Symbol{Name: name}
		t.Symbols[name] = s
	}
	return s
}

// Lookup returns the symbol, or nil when this kernel has no entry for it.
func (t *Tree) Lookup(name string) *Symbol {
	if s := t.Symbols[name]; s != nil && len(s.Definitions) > 0 {
		return s
	}
	return nil
}
