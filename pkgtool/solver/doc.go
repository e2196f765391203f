// Package solver decides which packages to install, upgrade and remove.
//
// A universe of packages (those of the repositories and those installed) and a
// request come in; a [Solution] goes out, or an [Unsolvable] that says why in
// plain words. [Solve] is the only entrance.
//
// It is complete: it finds a solution if there is one. It is deterministic: the
// order of the universe does not matter. Every result has passed [Check], which
// shares no code with the search.
//
// Inside, the rules become clauses over one variable per package (encode.go),
// the preferences become tiers of wishes (policy.go), and a search with clause
// learning (search.go) that tries wishes in their order finds the best solution
// (optimise.go). It never reads files, clocks or the network.
package solver
