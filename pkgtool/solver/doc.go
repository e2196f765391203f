// Package solver decides which packages to install, upgrade and remove.
//
// A [Universe] of packages (those of the repositories and those installed) and a
// [Request] come in; a [Solution] goes out, an [Unsolvable] that says why in plain
// words, or a [Timeout] that says how far it came. [Solve] is the simple entrance,
// [NewUniverse] the one for many requests.
//
// It is complete: it finds a solution if there is one. It is deterministic: the
// order of the universe does not matter. Every result has passed [Universe.Check],
// which shares no code with the search.
//
// Inside, what matters of the rules becomes clauses over one variable per package
// (encode.go), the preferences become tiers of wishes (policy.go), a search with
// clause learning (search.go) tries wishes in their order, and optimise.go proves
// or improves what it finds. It never reads files, clocks or the network.
package solver
