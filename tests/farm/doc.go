// Package farm builds on real farms: BuildKit daemons with Debian's runc on
// loopback, which `pkgtool/bootstrap.sh test` provides. They run as root; for
// an ordinary user the tests are left out.
package farm
