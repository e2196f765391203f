// Package web is the page of a repository for people: what it offers, how to
// find and install it, and how well it is. [Site] is an http.Handler over the
// folder of a repository or mirror.
//
// In come the files of the folder, verified by repo.ReadPublished, and requests;
// out go pages of plain HTML, each also as JSON, that need no script, no cookie
// and no other host. A request sees one published state: a new one is read
// beside it and takes its place at once.
//
// Nothing here is believed or obeyed: texts of packages and advisories are data
// that is escaped, cut and isolated; files of the pool are opened only by the
// names that a signed index gives them. Queries, lists and the work for a page
// are bounded. Nothing is ever written, except by [Site.Export], which writes
// the same pages as files for a server that has no program.
package web
