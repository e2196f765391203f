// Package trust follows a repository from a pinned root to its current state, as
// The Update Framework 1.0 prescribes (section 5), over a source of which
// nothing is believed.
//
// In come the [State] that was verified last and a source; out comes, by
// [Walk.Run], the next state, or a refusal that says what kind of wrong the
// source did. Both clients and mirrors go this way. What the targets name
// (indexes, packages) is fetched by package transport.
package trust
