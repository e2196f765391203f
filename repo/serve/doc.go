// Package serve hands a repository's files out over HTTP, read-only.
//
// In come a repository's folder and requests; out go its files, unchanged:
//
//	s, err := serve.New(dir, serve.Options{})
//	err = s.Serve(ctx, serve.Listener{Listener: l})
//
// A [Server] is an http.Handler too. It shows the regular files in metadata,
// index, keyring, advisories and pool and nothing else of the folder, follows
// no symbolic link, and gives every other path to Options.Web.
//
// It keeps small files in memory and asks the file system at each request
// whether they are still the same, so that what a publisher has renamed is what
// the next request gets. Large files go from the page cache to the socket by
// sendfile(2): whatever wraps a ResponseWriter or a connection here has to be
// an io.ReaderFrom for that.
//
// Clients are bounded in connections, requests, header bytes and time.
package serve
