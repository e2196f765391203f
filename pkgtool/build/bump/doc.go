// Package bump takes a recipe to another version of its upstream: it finds out
// which versions there are, fetches what the sources name then, and changes
// version, upstream, release, date, sums and sizes in the text of the recipe,
// leaving every comment and everything else as it stands.
//
// It never builds. What a new version asks of a packager (patches that no
// longer apply, new needs) is told as notes.
package bump
