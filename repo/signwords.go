package repo

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"ashlar/repo/tuf"
	"ashlar/signing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Changes says in plain words what would change if the draft were published.
// Texts of others in it are fit for a terminal.
func (d *Draft) Changes() []string {
	if d.Role == metadata.ROOT {
		return rootChanges(&d.roots[0].Signed, &d.root.Signed)
	}
	return d.targetsChanges()
}

func rootChanges(old, next *metadata.RootType) []string {
	var lines []string
	for _, role := range roles {
		was, is := old.Roles[role], next.Roles[role]
		for _, id := range is.KeyIDs {
			if !slices.Contains(was.KeyIDs, id) {
				lines = append(lines, fmt.Sprintf("%s: key %s comes in", role, tuf.Printable(id)))
			}
		}
		for _, id := range was.KeyIDs {
			if !slices.Contains(is.KeyIDs, id) {
				lines = append(lines, fmt.Sprintf("%s: key %s goes out", role, tuf.Printable(id)))
			}
		}
		if was.Threshold != is.Threshold {
			lines = append(lines, fmt.Sprintf("%s: %d signatures are needed, before %d", role, is.Threshold, was.Threshold))
		}
	}
	return append(lines, life(next.Version, old.Version, next.Expires, old.Expires))
}

func life(version, was int64, expires, expired time.Time) string {
	text := fmt.Sprintf("version %d after %d, good until %s", version, was, expires.Format(time.DateOnly))
	if before := expired.Format(time.DateOnly); before != expires.Format(time.DateOnly) {
		text += " instead of " + before
	}
	return text
}

func (d *Draft) targetsChanges() []string {
	var lines []string
	next := d.targets.Signed
	old := metadata.TargetsType{Targets: map[string]*metadata.TargetFiles{}}
	if d.oldTargets != nil {
		old = d.oldTargets.Signed
	}
	for _, name := range slices.Sorted(maps.Keys(next.Targets)) {
		was, is := old.Targets[name], next.Targets[name]
		text := tuf.Printable(name)
		switch {
		case name == KeyringTarget:
			lines = append(lines, packagerChanges(d.oldPackager, d.packagers)...)
		case was == nil:
			lines = append(lines, fmt.Sprintf("%s: new, %s", text, described(is)))
		case !was.Equal(*is):
			lines = append(lines, fmt.Sprintf("%s: %s, before %s", text, described(is), described(was)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old.Targets)) {
		if next.Targets[name] == nil {
			lines = append(lines, fmt.Sprintf("%s: no longer there", tuf.Printable(name)))
		}
	}
	if d.oldTargets == nil {
		return append(lines, fmt.Sprintf("version %d, the first one, good until %s", next.Version, next.Expires.Format(time.DateOnly)))
	}
	return append(lines, life(next.Version, old.Version, next.Expires, old.Expires))
}

// described is a target in a few words.
func described(t *metadata.TargetFiles) string {
	var c custom
	what := fmt.Sprintf("%d bytes", t.Length)
	if t.Custom != nil && json.Unmarshal(*t.Custom, &c) == nil {
		switch {
		case c.Packages > 0:
			what = fmt.Sprintf("%d packages", c.Packages)
		case c.Advisories > 0:
			what = fmt.Sprintf("%d advisories", c.Advisories)
		}
	}
	return fmt.Sprintf("%s (sha256 %.16s)", what, hex.EncodeToString(t.Hashes["sha256"]))
}

// packagerChanges names the packagers that come and go. Whoever signs this lets
// them make packages.
func packagerChanges(before, after []byte) []string {
	was, is := packagerNames(before), packagerNames(after)
	var lines []string
	for _, print := range slices.Sorted(maps.Keys(is)) {
		if was[print] == "" {
			lines = append(lines, fmt.Sprintf("packager %s may sign packages: %s", print, is[print]))
		}
	}
	for _, print := range slices.Sorted(maps.Keys(was)) {
		if is[print] == "" {
			lines = append(lines, fmt.Sprintf("packager %s may no longer sign packages: %s", print, was[print]))
		}
	}
	if len(lines) == 0 && string(before) != string(after) {
		lines = append(lines, "the certificate of a packager changes (a date, a name or a revocation)")
	}
	return lines
}

// packagerNames maps fingerprints to what the keys call themselves.
func packagerNames(keyring []byte) map[string]string {
	names := map[string]string{}
	if len(keyring) == 0 {
		return names
	}
	kr, err := signing.ReadKeyring(keyring)
	if err != nil {
		return map[string]string{"(unreadable)": tuf.Printable(err.Error())}
	}
	for _, key := range kr.Keys() {
		names[key.Fingerprint()] = "(no name)"
		if ids := key.UserIDs(); len(ids) > 0 {
			names[key.Fingerprint()] = tuf.Printable(ids[0])
		}
	}
	return names
}
