package places

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
