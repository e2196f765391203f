// Package source fetches and unpacks the sources of recipes.
//
// In: a [Source] (where it may be found, and its sum), archives. Out: verified
// files in a content-addressed cache, unpacked trees, and Go module proxies
// that work without a network.
//
// It promises: no byte reaches a caller before its SHA-256 (or, for a Go
// module, its h1 sum) has been checked; the cache holds complete files only,
// whatever happens while one is written; an interrupted transfer is continued;
// a hostile archive cannot write outside its folder or fill memory; what is
// unpacked depends on the archive alone, not on umask, user or clock.
// It never shows the credentials or the query of a URL and never contacts a
// host that neither the source, the user nor the host's configuration names.
package source
