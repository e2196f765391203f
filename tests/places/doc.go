// Package places publishes repositories to real servers and installs from them:
// docker-registry of Debian, and versitygw for S3, both on loopback.
// `pkgtool/bootstrap.sh test` provides them; tests without theirs are skipped.
package places
