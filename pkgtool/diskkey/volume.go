package diskkey

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/fault"

	"github.com/google/go-tpm/tpm2/transport"
)

// Cryptsetup runs cryptsetup(8) with input on its standard input and returns what
// it printed.
type Cryptsetup func(ctx context.Context, input []byte, args ...string) ([]byte, error)

// Program is a cryptsetup that stands at a path, or is found by its name.
func Program(name string) Cryptsetup {
	return func(ctx context.Context, input []byte, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Stdin = bytes.NewReader(input)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Mark(err, fault.Usage, "pkgtool install cryptsetup")
		}
		if err != nil {
			return nil, fmt.Errorf("cryptsetup %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
		}
		return out, nil
	}
}

// Volume is an encrypted device, a LUKS2 volume.
type Volume struct {
	Device     string
	Cryptsetup Cryptsetup
}

// metadata is what is of interest in a header (LUKS2 On-Disk Format, 3).
type metadata struct {
	Slots  map[string]json.RawMessage `json:"keyslots"`
	Tokens map[string]json.RawMessage `json:"tokens"`
}

// maxSlots and maxTokens are LUKS2's.
const maxSlots, maxTokens = 32, 32

func (v Volume) read(ctx context.Context) (*metadata, error) {
	out, err := v.Cryptsetup(ctx, nil, "luksDump", "--dump-json-metadata", v.Device)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("read the header of %s: %w", v.Device, err), fault.Usage, "it must be an encrypted device of the type LUKS2")
	}
	var m metadata
	if err := json.Unmarshal(out, &m); err != nil {
		return nil, fmt.Errorf("header of %s: %w", v.Device, err)
	}
	if len(m.Slots) > maxSlots || len(m.Tokens) > maxTokens {
		return nil, fmt.Errorf("header of %s: %d key slots and %d tokens; LUKS2 has at most %d of each", v.Device, len(m.Slots), len(m.Tokens), maxSlots)
	}
	return &m, nil
}

// Tokens returns the sealed keys of the volume that this program can open, and
// what is wrong with others of the same type.
func (v Volume) Tokens(ctx context.Context) (tokens []*Token, problems []error, err error) {
	m, err := v.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	for key, raw := range m.Tokens {
		id, err := strconv.Atoi(key)
		if err != nil {
			return nil, nil, fmt.Errorf("header of %s: token %q", v.Device, key)
		}
		t, err := decodeToken(id, raw)
		switch {
		case err != nil:
			problems = append(problems, err)
		case t != nil:
			tokens = append(tokens, t)
		}
	}
	slices.SortFunc(tokens, func(a, b *Token) int { return cmp.Compare(a.ID, b.ID) })
	return tokens, problems, nil
}

// Passphrase has the TPM open the volume's sealed keys until one fits.
func (v Volume) Passphrase(ctx context.Context, tpm transport.TPM) ([]byte, error) {
	tokens, problems, err := v.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		passphrase, err := Unseal(tpm, t)
		if err == nil {
			return passphrase, nil
		}
		problems = append(problems, fmt.Errorf("token %d: %w", t.ID, err))
	}
	if len(problems) > 0 {
		return nil, problems[0]
	}
	return nil, fault.Errorf(fault.Usage, "%s holds no key that a TPM has sealed; seal one with: pkgtool diskkey enroll", v.Device)
}

// Enroll seals a new key for the volume, which passphrase opens, and then removes
// those that were sealed before. A failure in between leaves one too many, never
// one too few.
func (v Volume) Enroll(ctx context.Context, tpm transport.TPM, passphrase []byte, pcrs []int) (*Token, error) {
	m, err := v.read(ctx)
	if err != nil {
		return nil, err
	}
	key, t, err := Seal(tpm, pcrs)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	slot, id := free(m.Slots, maxSlots), free(m.Tokens, maxTokens)
	if slot < 0 || id < 0 {
		return nil, fault.Errorf(fault.Usage, "%s has no room for another key; remove one with cryptsetup luksKillSlot", v.Device)
	}
	t.ID, t.Slots = id, []string{strconv.Itoa(slot)}
	// Both are read from one stream. The key is random, so there is nothing to be
	// gained from making guesses costly.
	both := append(slices.Clone(passphrase), key...)
	defer clear(both)
	if _, err := v.Cryptsetup(ctx, both, "luksAddKey", "--batch-mode", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000",
		"--key-slot="+t.Slots[0], "--key-file=-", "--keyfile-size="+strconv.Itoa(len(passphrase)), "--new-keyfile-size="+strconv.Itoa(len(key)), v.Device, "-"); err != nil {
		return nil, fmt.Errorf("add a key to %s: %w", v.Device, err)
	}
	text, err := t.encode()
	if err != nil {
		return nil, err
	}
	if _, err := v.Cryptsetup(ctx, text, "token", "import", "--token-id="+strconv.Itoa(id), "--json-file=-", v.Device); err != nil {
		return nil, fmt.Errorf("keep the sealed key in the header of %s: %w", v.Device, err)
	}
	return t, v.remove(ctx, m)
}

// Wipe removes the sealed keys from the volume; a passphrase or another key must
// be left.
func (v Volume) Wipe(ctx context.Context) (removed int, err error) {
	m, err := v.read(ctx)
	if err != nil {
		return 0, err
	}
	sealed := map[string]bool{}
	for _, raw := range m.Tokens {
		for _, slot := range slotsOf(raw) {
			sealed[slot] = true
		}
	}
	if len(sealed) > 0 && !slices.ContainsFunc(keys(m.Slots), func(slot string) bool { return !sealed[slot] }) {
		return 0, fault.Errorf(fault.Usage, "%s has no other key than what the TPM sealed; add a passphrase first: cryptsetup luksAddKey %s", v.Device, v.Device)
	}
	return len(sealed), v.remove(ctx, m)
}

// remove takes the sealed keys of a header out of it, and their tokens.
func (v Volume) remove(ctx context.Context, m *metadata) error {
	for _, id := range keys(m.Tokens) {
		slots := slotsOf(m.Tokens[id])
		if slots == nil {
			continue
		}
		for _, slot := range slots {
			if _, there := m.Slots[slot]; !there {
				continue
			}
			if _, err := v.Cryptsetup(ctx, nil, "luksKillSlot", "--batch-mode", v.Device, slot); err != nil {
				return fmt.Errorf("remove the old key in slot %s of %s: %w", slot, v.Device, err)
			}
		}
		if _, err := v.Cryptsetup(ctx, nil, "token", "remove", "--token-id="+id, v.Device); err != nil {
			return fmt.Errorf("remove the old token %s of %s: %w", id, v.Device, err)
		}
	}
	return nil
}

// slotsOf returns the key slots of a token of our type, even one that cannot be
// opened; nil for others.
func slotsOf(raw []byte) []string {
	var text tokenText
	if json.Unmarshal(raw, &text) != nil || text.Type != tokenType {
		return nil
	}
	return append([]string{}, text.Slots...)
}

// keys returns the names in order.
func keys(m map[string]json.RawMessage) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// free is the first number that is not taken, or -1.
func free(taken map[string]json.RawMessage, limit int) int {
	for n := range limit {
		if _, there := taken[strconv.Itoa(n)]; !there {
			return n
		}
	}
	return -1
}

// FindVolume returns the device of the volume with a UUID. It reads headers: a
// system without udev has no names for it.
func FindVolume(id string) (string, error) {
	names, err := os.ReadDir("/sys/class/block")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		device := "/dev/" + name.Name()
		if headerUUID(device) == id {
			return device, nil
		}
	}
	return "", fault.Errorf(fault.Usage, "no device of this machine is the encrypted volume %s", id)
}

// headerUUID reads the UUID of a LUKS header, or "".
func headerUUID(device string) string {
	f, err := os.Open(device)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 208)
	if _, err := f.ReadAt(head, 0); err != nil || string(head[:6]) != "LUKS\xba\xbe" {
		return ""
	}
	text, _, _ := strings.Cut(string(head[168:]), "\x00")
	return strings.ToLower(text)
}
