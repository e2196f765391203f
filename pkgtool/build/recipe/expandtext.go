package recipe

// ExpandText fills ${...} in text with the values of r, as if it stood in the
// recipe; upstream and version are those given.
func (r *Recipe) ExpandText(text, version, upstream string) (string, error) {
	changed := *r
	changed.Version, changed.Upstream = version, upstream
	arch := "x86_64"
	if r.tree != nil {
		arch = r.tree.Arch
	}
	s := scopeOf(&changed, arch)
	for name, value := range r.Vars {
		s.values["vars."+name] = value
	}
	return s.expand(text)
}
