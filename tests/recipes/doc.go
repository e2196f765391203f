// Package recipes gives pkgtool broken recipes and holds fast, word for word,
// what it answers.
//
// Each file of testdata is one case, a txtar: its comment says what is wrong,
// and which command is run (`run:`); `make:` lines make what does not fit into
// a text, such as a hostile archive. The files are the recipes; the last one,
// `want`, is the exit code and everything that pkgtool writes to stderr. Where a
// path, a key or a name is another in every run, a word in capitals stands for
// it.
//
// Builds are real: the seed is a small one, made of a few programs of this
// machine. `go test ./tests/recipes -update` writes all answers anew; read the
// difference before you believe it.
package recipes
