package source

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"testing"
)

// manyBlocks makes an .xz file of several blocks with the real xz.
func manyBlocks(t testing.TB, plain []byte, args ...string) []byte {
	cmd := exec.Command("xz", append([]string{"-c", "-1", "--block-size=65536"}, args...)...)
	cmd.Stdin = bytes.NewReader(plain)
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("xz is not installed; pkgtool/bootstrap.sh test installs it")
	} else if err != nil {
		t.Fatal(err)
	}
	return out
}

func somewhatRandom(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(random.IntN(8))
	}
	return data
}

func TestBlocksAreDecodedInOrder(t *testing.T) {
	plain := somewhatRandom(1_000_003)
	for _, check := range []string{"none", "crc32", "crc64", "sha256"} {
		packed := manyBlocks(t, plain, "--check="+check)
		layout, err := readXZLayout(bytes.NewReader(packed), int64(len(packed)))
		if err != nil || len(layout.blocks) != 16 {
			t.Fatalf("%s: %v, %v", check, layout, err)
		}
		r, err := DecompressFile(bytes.NewReader(packed), int64(len(packed)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes, %v", check, len(got), err)
		}
		r.Close()
	}
}

// Whatever is wrong with a file, the whole is never read without an error.
func TestBlocksNoticeDamage(t *testing.T) {
	plain := somewhatRandom(300_000)
	packed := manyBlocks(t, plain)
	for at := 0; at < len(packed); at += 1 + len(packed)/200 {
		damaged := bytes.Clone(packed)
		damaged[at] ^= 0x04
		r, err := DecompressFile(bytes.NewReader(damaged), int64(len(damaged)))
		if err != nil {
			continue
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err == nil && !(at < 6 && !bytes.Equal(got, plain)) { // without its magic it is no .xz file
			t.Errorf("byte %d changed and not noticed", at)
		}
	}
}

func TestBlocksStopEarly(t *testing.T) {
	packed := manyBlocks(t, somewhatRandom(3_000_000))
	r, err := DecompressFile(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil { // must not hang
		t.Fatal(err)
	}
}

func FuzzXZLayout(f *testing.F) {
	f.Add(manyBlocks(f, somewhatRandom(200_000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		layout, err := readXZLayout(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		end := int64(xzHeaderSize)
		for _, b := range layout.blocks {
			if b.offset != end || b.size < 0 || b.content > maxXZBlock {
				t.Fatalf("block %+v", b)
			}
			end += b.size
		}
		if end > int64(len(data)) {
			t.Fatal("blocks reach over the end")
		}
	})
}
