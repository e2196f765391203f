package durable

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLockWaitsForTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if err := Lock(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockPause)
	defer cancel()
	if err := Lock(ctx, second); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a lock that is held: %v", err)
	}
	time.AfterFunc(lockPause, func() { first.Close() })
	if err := Lock(t.Context(), second); err != nil {
		t.Fatal(err)
	}
}
