package places

import (
	"testing"

	"ashlar/repo/store"
	"ashlar/repo/store/storetest"
)

func open(t *testing.T, url string) store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url)
	check(t, err)
	return s
}

func TestRegistryIsAStore(t *testing.T) {
	url := "oci+http://" + startRegistry(t, "") + "/acme/packages"
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, url) })
}
