package recipe

import "slices"

// Plan returns every command of the build in order. Patches are not part of
// it: they are applied before the prepare phase.
func (r *Recipe) Plan() []Command {
	p := &problems{pos: r.pos}
	return r.plan(p) // the problems were reported when the recipe was loaded
}

func (r *Recipe) plan(p *problems) []Command {
	style := r.style()
	var commands []Command
	for _, name := range PhaseNames {
		before, main, after := r.Phases.phase(name)
		commands = append(commands, r.tree.resolve(name, *before, path{"phases", "before-" + name}, p)...)
		if *main == nil && style != nil {
			_, styled, _ := style.Phases.phase(name)
			commands = append(commands, r.tree.resolve(name, *styled, path{"build", "style"}, p)...)
		} else {
			commands = append(commands, r.tree.resolve(name, *main, path{"phases", name}, p)...)
		}
		commands = append(commands, r.tree.resolve(name, *after, path{"phases", "after-" + name}, p)...)
	}
	return commands
}

// style returns the style of the recipe, or nil.
func (r *Recipe) style() *Style {
	if r.Build.Style == "" || r.Build.Style == "none" {
		return nil
	}
	return r.tree.styles[r.Build.Style]
}

// Tools are the build tools of the recipe, its style and its pipelines,
// sorted, each once.
func (r *Recipe) Tools() []string {
	tools := append(slices.Clone(r.Build.Tools), r.Build.Check...)
	if style := r.style(); style != nil {
		tools = append(tools, style.Tools...)
	}
	for _, name := range r.pipelines() {
		if pipeline := r.tree.pipelines[name]; pipeline != nil {
			tools = append(tools, pipeline.Tools...)
		}
	}
	slices.Sort(tools)
	return slices.Compact(tools)
}

// pipelines are the names of those that the recipe's steps use.
func (r *Recipe) pipelines() []string {
	var names []string
	for _, name := range PhaseNames {
		before, main, after := r.Phases.phase(name)
		lists := [][]Step{*before, *main, *after}
		if style := r.style(); style != nil && *main == nil {
			_, styled, _ := style.Phases.phase(name)
			lists = append(lists, *styled)
		}
		for _, step := range slices.Concat(lists...) {
			if step.Use != "" {
				names = append(names, step.Use)
			}
		}
	}
	return names
}

// Env are the variables that style and recipe add to the standard ones.
func (r *Recipe) Env() map[string]string {
	env := map[string]string{}
	if style := r.style(); style != nil {
		for k, v := range style.Env {
			env[k] = v
		}
	}
	for k, v := range r.Build.Env {
		env[k] = v
	}
	return env
}
