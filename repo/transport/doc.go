// Package transport reads the files of a repository from wherever they lie: a
// folder, a web server. Everything is bounded: waiting, rate, sizes, redirects,
// attempts.
//
// In come paths, and what is signed about their length and hash; out come bytes,
// into memory ([Limits.ReadFile]) or into a file that an interrupted transfer
// continues ([Limits.Fetch]). Whose bytes they are, and whether they are current,
// is the matter of package trust.
package transport
