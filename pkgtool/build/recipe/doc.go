// Package recipe reads recipes: what a source package is made of, how it is
// built and how its files are divided into packages.
//
// In: a folder of recipes (`<name>/recipe.yaml` with patches and files beside
// it) and the pipelines they use. Out: a [Tree] of checked [Recipe] values with
// every ${...} expanded and every phase resolved to commands ([Plan]).
//
// The Go types are the format; docs/formats/recipe.schema.json is generated
// from them. Everything wrong with a recipe is reported at once, with file, line
// and column. Text of a `run:` step is never expanded: scripts read variables
// from the environment. Files a recipe names lie inside its own folder.
//
// This package never fetches, runs or writes anything.
package recipe
