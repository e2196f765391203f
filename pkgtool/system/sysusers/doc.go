// Package sysusers gives the users and groups that packages ask for their
// numbers, as systemd-sysusers would, but as a pure function of texts: owners
// must be known before the first file is written.
//
// The configuration files of the target (sysusers.d(5): lines of the types u,
// g, m and r) and its passwd, group, shadow and gshadow come in; new texts of
// those four come out. Users and groups that exist are never changed, but that
// groups get members. The same input always gives the same numbers, which are
// those that systemd-sysusers of systemd 252 gives: the wished one, else that
// of the group or user of the same name, else the highest free one, from 999
// down or within the ranges of r lines.
//
// It differs on purpose in four points. An id given as a path is chosen freely,
// since there is no file yet to ask. Specifiers that speak of a running machine
// (%H, %m, %b, %v, ...) are errors. A user whose group is missing is an error
// too, not left out. The date of a new password entry is empty, which means no
// ageing, and not today.
package sysusers
