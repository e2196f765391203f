// Package client is the system's side of package repositories: what they
// offer, and the packages themselves, from mirrors that nobody needs to trust.
//
// In come repository definitions ([LoadConfigs]), a pinned root for each, and
// whatever mirrors answer. Out go, after [Client.Refresh], the packages on
// offer, and by [Client.Fetch] verified package files.
//
// A mirror can refuse service and nothing else. Every byte is checked against
// metadata of The Update Framework, every size is known or capped before
// reading, every wait has a limit, every package must be signed by a packager
// of the signed keyring and agree with the index in each field. What is wrong
// is told apart (tampered, stale, rolled back, not signed, lying, unreachable)
// with the mirror's name, and the next mirror is tried. What has been seen is
// remembered durably, so that time does not run backwards, whatever the clock.
package client
