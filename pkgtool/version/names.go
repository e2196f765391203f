package version

// Names returns the names in the text of a dependency, one for each alternative,
// or the name in that of a provide, without reading the constraints. It is for
// who looks up many and judges few; of a text that is not valid it may return
// less.
func Names(text string) []string {
	var names []string
	for rest, more := text, true; more; {
		var first string
		first, rest, more = cutAlternative(rest)
		if name, _, err := cutName(first); err == nil {
			names = append(names, name)
		}
	}
	return names
}
