// Package ui asks a person what an answer file needs to know, and shows how an
// installation goes on.
//
// In: the machine's disks and what may be installed; out: the answers, as
// [installer.Answers] that a file of them is written from. Nothing is touched.
//
// The same screens, at most eight, are shown in two ways: as forms on a terminal
// that can place a cursor, and as questions line by line on one that cannot (a
// serial line, a screen reader, a script behind a pty). Both end in the same
// answers, and what the unattended installation would refuse is refused here.
package ui
