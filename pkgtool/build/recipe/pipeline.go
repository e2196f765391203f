package recipe

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"ashlar/pkgtool/strictyaml"
)

// Command is one resolved step: a script or an argument list.
type Command struct {
	Phase string            `json:"phase"`
	Name  string            `json:"name,omitempty"`
	Run   string            `json:"run,omitempty"`  // a bash script
	Exec  []string          `json:"exec,omitempty"` // elements may hold ${env.X}
	Dir   string            `json:"dir,omitempty"`  // may hold ${env.X}; relative to $SRCDIR
	Env   map[string]string `json:"env,omitempty"`
}

// resolve turns the steps of one phase into commands, following pipelines.
func (t *Tree) resolve(phase string, steps []Step, at path, p *problems) []Command {
	var commands []Command
	for i := range steps {
		step, here := &steps[i], at.with(i)
		given := 0
		for _, set := range []bool{step.Run != "", step.Exec != nil, step.Use != ""} {
			if set {
				given++
			}
		}
		switch {
		case given != 1:
			p.add(here, "a step has exactly one of run, exec and use")
		case step.Use == "" && step.With != nil:
			p.add(here.with("with"), "with belongs to a step that has use")
		case step.Run != "":
			commands = append(commands, Command{Phase: phase, Name: step.Name, Run: step.Run, Dir: step.Dir, Env: step.Env})
		case step.Use != "":
			commands = append(commands, t.resolveUse(phase, step, here, p)...)
		case len(step.Exec) == 0:
			p.add(here.with("exec"), "exec needs a program")
		default:
			commands = append(commands, Command{Phase: phase, Name: step.Name, Exec: step.Exec, Dir: step.Dir, Env: step.Env})
		}
	}
	return commands
}

// resolveUse replaces a use step by the pipeline's steps with inputs filled in.
func (t *Tree) resolveUse(phase string, step *Step, at path, p *problems) []Command {
	pipeline, ok := t.pipelines[step.Use]
	if !ok {
		p.add(at.with("use"), "there is no pipeline %q%s", step.Use, didYouMean(step.Use, t.pipelines))
		return nil
	}
	inputs := pipeline.bind(step, at, p)
	if inputs == nil {
		return nil
	}
	scalars := scope{values: map[string]string{}, later: []string{"env."}}
	for name, value := range inputs {
		scalars.values["inputs."+name] = strings.Join(value, "\n")
	}
	var commands []Command
	for _, inner := range pipeline.Steps {
		c := Command{Phase: phase, Name: step.Name, Run: inner.Run, Dir: step.Dir, Env: map[string]string{}}
		if c.Name == "" {
			c.Name = step.Use
		}
		for name, value := range inputs {
			c.Env["INPUT_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = strings.Join(value, "\n")
		}
		fill := func(text string) string {
			filled, err := scalars.expand(text)
			if err != nil {
				p.add(at.with("use"), "pipeline %s: %v", step.Use, err)
			}
			return filled
		}
		for _, env := range []map[string]string{inner.Env, step.Env} {
			for k, v := range env {
				c.Env[k] = fill(v)
			}
		}
		if c.Dir == "" {
			c.Dir = fill(inner.Dir)
		}
		for _, arg := range inner.Exec {
			if name, ok := wholeInput(arg); ok && inputs[name] != nil && pipeline.Inputs[name].Type == "list" {
				c.Exec = append(c.Exec, inputs[name]...)
				continue
			}
			c.Exec = append(c.Exec, fill(arg))
		}
		commands = append(commands, c)
	}
	return commands
}

// wholeInput returns NAME where arg is exactly ${inputs.NAME}.
func wholeInput(arg string) (string, bool) {
	name, ok := strings.CutPrefix(arg, "${inputs.")
	if !ok || strings.Count(name, "}") != 1 {
		return "", false
	}
	return strings.CutSuffix(name, "}")
}

// bind checks the values a step gives and returns every input's value as a
// list; a scalar is a list of one. It returns nil after a problem.
func (pl *Pipeline) bind(step *Step, at path, p *problems) map[string][]string {
	good := true
	bad := func(at path, format string, args ...any) {
		p.add(at, format, args...)
		good = false
	}
	for name := range step.With {
		if _, ok := pl.Inputs[name]; !ok {
			bad(at.with("with", name), "pipeline %s has no input %q%s", step.Use, name, didYouMean(name, pl.Inputs))
		}
	}
	inputs := map[string][]string{}
	for name, input := range pl.Inputs {
		value, given := step.With[name]
		switch {
		case !given && input.Required:
			bad(at.with("use"), "pipeline %s needs the input %q", step.Use, name)
			continue
		case !given:
			value = input.Default
		}
		list, err := input.parse(value)
		if err != nil {
			bad(at.with("with", name), "input %s of %s: %v", name, step.Use, err)
			continue
		}
		inputs[name] = list
	}
	if !good {
		return nil
	}
	return inputs
}

// parse checks a value against the input's type.
func (in Input) parse(value any) ([]string, error) {
	if in.Type == "list" {
		items, ok := value.([]any)
		if value == nil {
			return []string{}, nil
		}
		if !ok {
			return nil, fmt.Errorf("%v is not a list", value)
		}
		list := make([]string, len(items))
		for i, item := range items {
			text, err := scalar(item)
			if err != nil {
				return nil, err
			}
			if strings.Contains(text, "\n") {
				return nil, fmt.Errorf("%q has a line break, which a list's element cannot have", text)
			}
			list[i] = text
		}
		return list, nil
	}
	if value == nil {
		value = map[string]any{"bool": false, "int": 0}[in.Type]
	}
	if value == nil {
		value = ""
	}
	text, err := scalar(value)
	if err != nil {
		return nil, err
	}
	switch in.Type {
	case "bool":
		if _, ok := value.(bool); !ok {
			return nil, fmt.Errorf("%q is not true or false", text)
		}
	case "int":
		if _, err := strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("%q is not a whole number", text)
		}
	case "enum":
		for _, allowed := range in.Values {
			if text == allowed {
				return []string{text}, nil
			}
		}
		return nil, fmt.Errorf("%q is none of %s", text, strings.Join(in.Values, ", "))
	}
	return []string{text}, nil
}

func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("%v is not a single value", v)
}

// check reports what is wrong with a pipeline's own file.
func (pl *Pipeline) check(p *problems) {
	if pl.Summary == "" {
		p.add(path{}, "a pipeline needs a summary")
	}
	if len(pl.Steps) == 0 {
		p.add(path{"steps"}, "a pipeline needs steps")
	}
	for name, in := range pl.Inputs {
		switch in.Type {
		case "string", "bool", "int", "list", "enum":
		default:
			p.add(path{"inputs", name, "type"}, "%q is no type; types are string, bool, int, list, enum", in.Type)
			continue
		}
		if in.Default == nil {
			continue
		}
		if _, err := in.parse(in.Default); err != nil {
			p.add(path{"inputs", name, "default"}, "%v", err)
		}
	}
	for i, s := range pl.Steps {
		if s.Use != "" || s.With != nil || (s.Run == "") == (len(s.Exec) == 0) {
			p.add(path{"steps", i}, "a pipeline's step has exactly one of run and exec")
		}
	}
}

func didYouMean[V any](word string, known map[string]V) string {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	sort.Strings(names)
	if near := strictyaml.Nearest(word, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if len(names) == 0 || len(names) > 30 {
		return ""
	}
	return "; known: " + strings.Join(names, ", ")
}
