package oci

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"ashlar/pkgtool/fault"
)

// RepositoryTag names the manifest that lists all files but those of packages.
// Replacing it is what publishes.
const RepositoryTag = "repository"

// Shards is how many manifests list the packages.
const Shards = 256

const shardPrefix = "pool-"

// ShardTag names a shard's manifest.
func ShardTag(shard int) string { return fmt.Sprintf(shardPrefix+"%02x", shard) }

// TagOf returns the tag of the manifest that lists a file. Packages are spread
// by the first two digits of their sha256, with which their names begin.
func TagOf(file string) string {
	digits, _, named := strings.Cut(path.Base(file), ".")
	if !strings.HasPrefix(file, "pool/") || !named || len(digits) != 16 || strings.Trim(digits, "0123456789abcdef") != "" {
		return RepositoryTag
	}
	return shardPrefix + digits[:2]
}

// ofShard reports whether a tag is a shard's.
func ofShard(tag string) bool { return strings.HasPrefix(tag, shardPrefix) }

// Place is a repository of a registry.
type Place struct {
	Host  string // with port, if it is not the scheme's
	Name  string
	Plain bool // http instead of https
}

// Schemes of the URLs that name a place.
const (
	Scheme      = "oci"
	PlainScheme = "oci+http"
)

// IsURL reports whether a URL is for PlaceOf.
func IsURL(u *url.URL) bool { return u.Scheme == Scheme || u.Scheme == PlainScheme }

// placeName is <name> of the OCI distribution specification 1.1.
var placeName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// PlaceOf reads oci://host[:port]/name, or oci+http:// for a registry without TLS.
func PlaceOf(u *url.URL) (Place, error) {
	p := Place{Host: u.Host, Name: strings.Trim(u.Path, "/"), Plain: u.Scheme == PlainScheme}
	switch {
	case !IsURL(u):
		return Place{}, fault.Errorf(fault.Usage, "url %.200q: a registry's url begins with oci:// or oci+http://", u.Redacted())
	case u.User != nil:
		return Place{}, fault.Mark(fmt.Errorf("url %.200q: a password has no place in the url of a registry", u.Redacted()), fault.Usage,
			"keep it where `docker login` does: in $DOCKER_CONFIG or ~/.docker/config.json")
	case u.RawQuery != "" || u.Fragment != "":
		return Place{}, fault.Errorf(fault.Usage, "url %.200q: a query or fragment has no place in the url of a registry", u)
	case p.Host == "" || len(p.Name) > 255 || !placeName.MatchString(p.Name):
		return Place{}, fault.Errorf(fault.Usage, "url %.200q: a registry's url is oci://host[:port]/name, the name in lower case", u)
	}
	return p, nil
}

// String is the place's URL.
func (p Place) String() string {
	scheme := Scheme
	if p.Plain {
		scheme = PlainScheme
	}
	return scheme + "://" + p.Host + "/" + p.Name
}

// Manifest is the URL of the manifest under a tag.
func (p Place) Manifest(tag string) string { return p.api("manifests") + "/" + tag }

// Blobs is the URL under which content lies, as sha256:<digits>.
func (p Place) Blobs() string { return p.api("blobs") }

func (p Place) api(kind string) string {
	scheme, host := "https", p.Host
	if p.Plain {
		scheme = "http"
	}
	if host == "docker.io" {
		host = "registry-1.docker.io" // where that registry answers
	}
	return scheme + "://" + host + "/v2/" + p.Name + "/" + kind
}
