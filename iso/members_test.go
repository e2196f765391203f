package iso

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os/exec"
	"testing"
)

// mixed is content of which a part can be compressed, several members long.
func mixed() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 5*memberSize+12345)
	for i := range content {
		content[i] = byte(random.IntN(1 + i/memberSize*40))
	}
	return content
}

func packed(t *testing.T, content []byte, workers, piece int) []byte {
	t.Helper()
	var out bytes.Buffer
	m := newMembers(t.Context(), &out, workers)
	for rest := content; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
		if _, err := m.Write(rest[:min(piece, len(rest))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestMembersAreAGzipFile(t *testing.T) {
	content := mixed()
	one := packed(t, content, 1, 1000)
	if !bytes.Equal(one, packed(t, content, 3, 3*memberSize)) {
		t.Error("the output depends on the number of workers or on the pieces that come")
	}
	unzip := exec.Command("gzip", "-dc")
	unzip.Stdin = bytes.NewReader(one)
	if out, err := unzip.Output(); err != nil || !bytes.Equal(out, content) {
		t.Errorf("gzip reads %d bytes of %d, %v", len(out), len(content), err)
	}
}

type fullDisk struct{ room int }

var errFull = errors.New("no space left")

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.room -= len(b); d.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestMembersTellWhyTheyStopped(t *testing.T) {
	content := mixed()
	m := newMembers(t.Context(), &fullDisk{room: memberSize}, 2)
	for range 10 {
		m.Write(content)
	}
	if err := m.Close(); !errors.Is(err, errFull) {
		t.Errorf("a full disk is told as %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m = newMembers(ctx, &bytes.Buffer{}, 2)
	cancel()
	var err error
	for range 10 {
		if _, err = m.Write(content); err != nil {
			break
		}
	}
	m.Close()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an interruption is told as %v", err)
	}
}
