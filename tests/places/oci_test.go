package places

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ashlar/repo/oci"
	"ashlar/repo/store"
	"ashlar/repo/store/storetest"

	"golang.org/x/crypto/bcrypt"
)

func open(t *testing.T, url string) store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url)
	check(t, err)
	return s
}

func TestRegistryIsAStore(t *testing.T) {
	url := "oci+http://" + startRegistry(t, "").address + "/acme/packages"
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, url) })
}

func TestRegistryServes(t *testing.T) {
	host := startRegistry(t, "")
	url := "oci+http://" + host.address + "/acme/packages"
	newWorld(t).lifecycle(url, url, func() int { return countFiles(t, filepath.Join(host.data, "docker/registry/v2/blobs")) })
}

// TestRegistryWithPassword: publisher and client sign on with what docker login
// leaves behind; without it they are told to.
func TestRegistryWithPassword(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	check(t, err)
	s := startRegistry(t, "ashlar:"+string(hash)+"\n")
	w, place := newWorld(t), "oci+http://"+s.address+"/packages"
	docker := filepath.Join(w.dir, "docker")
	check(t, os.MkdirAll(docker, 0o700))
	t.Setenv("DOCKER_CONFIG", docker)
	out, err := w.try("repo", "mirror", "repo", place)
	if err == nil || !strings.Contains(out, "401") || !strings.Contains(out, "docker login") {
		t.Errorf("without a password: %v\n%s", err, out)
	}
	check(t, os.WriteFile(filepath.Join(docker, "config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":"YXNobGFyOnNlY3JldA=="}}}`, s.address), 0o600))
	w.mirror(place)
	w.installed(w.system("root", place), "lib")
}

// TestSkopeoCopies: a tool made for images lists the manifests and copies them
// to another registry, from which packages can be installed.
func TestSkopeoCopies(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Fatal("skopeo is not installed; run pkgtool/bootstrap.sh test")
	}
	from, to := startRegistry(t, "").address, startRegistry(t, "").address
	w := newWorld(t)
	w.mirror("oci+http://" + from + "/packages")
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), skopeo, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("skopeo %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	var tags struct{ Tags []string }
	check(t, json.Unmarshal([]byte(run("list-tags", "--tls-verify=false", "docker://"+from+"/packages")), &tags))
	if len(tags.Tags) < 2 || !slices.Contains(tags.Tags, oci.RepositoryTag) {
		t.Errorf("tags %q", tags.Tags)
	}
	for _, tag := range tags.Tags {
		run("copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+from+"/packages:"+tag, "docker://"+to+"/copy:"+tag)
	}
	w.installed(w.system("root", "oci+http://"+to+"/copy"), "lib")
}

// TestRegistryCollectsGarbage: what manifests list survives the registry's own
// garbage collection, and what was removed does not.
func TestRegistryCollectsGarbage(t *testing.T) {
	s := startRegistry(t, "")
	place := "oci+http://" + s.address + "/packages"
	w := newWorld(t)
	w.mirror(place)
	to := open(t, place)
	defer to.Close()
	const unwanted = "pool/u/unwanted/0123456789abcdef.unwanted-1.0.0-1.noarch.ashlar"
	check(t, to.PutBytes(t.Context(), unwanted, []byte("unwanted content")))
	check(t, to.Sync(t.Context()))
	check(t, to.Remove(t.Context(), unwanted))
	check(t, to.Sync(t.Context()))
	blobs := filepath.Join(s.data, "docker/registry/v2/blobs")
	before := countFiles(t, blobs)
	out, err := exec.CommandContext(t.Context(), "docker-registry", "garbage-collect", "--delete-untagged", filepath.Join(filepath.Dir(s.data), "config.yml")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if after := countFiles(t, blobs); after >= before {
		t.Errorf("%d files, before %d", after, before)
	}
	w.installed(w.system("root", place), "lib", "c++-tool")
	w.good(place)
}
