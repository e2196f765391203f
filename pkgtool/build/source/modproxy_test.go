package source

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGoModuleProxyBuildsOffline fetches every module of the project's own
// go.sum and builds the command from them with an empty module cache and
// nowhere else to look. It needs the network: ASHLAR_TEST_NETWORK=1.
func TestGoModuleProxyBuildsOffline(t *testing.T) {
	needNetwork(t)
	fetcher, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	project, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	proxy := filepath.Join(t.TempDir(), "goproxy")
	if err := GoModuleProxy(t.Context(), filepath.Join(project, "go.sum"), proxy, fetcher, nil); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(t.TempDir(), "pkgtool"), "./pkgtool")
	cmd.Dir = project
	cmd.Env = append(os.Environ(), "GOPROXY=file://"+proxy, "GOSUMDB=off", "GOFLAGS=-mod=readonly -modcacherw -buildvcs=false",
		"GOMODCACHE="+cache, "CGO_ENABLED=0", "GOTOOLCHAIN=local")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The same again from the cache alone.
	fetcher.Offline = true
	if err := GoModuleProxy(context.Background(), filepath.Join(project, "go.sum"), proxy, fetcher, nil); err != nil {
		t.Fatal(err)
	}
}

// needNetwork passes over a test that needs the host's mirrors or module
// proxy, unless the person running it says that they are there.
func needNetwork(t *testing.T) {
	if os.Getenv("ASHLAR_TEST_NETWORK") == "" {
		t.Skip("needs the network: set ASHLAR_TEST_NETWORK=1")
	}
}
