package diskkey

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ashlar/pkgtool/fault"
)

// tokenType, bank and the names of primary keys are systemd's.
const (
	tokenType  = "systemd-tpm2"
	bank       = "sha256"
	primaryECC = "ecc"
	primaryRSA = "rsa"
)

// maxBlob bounds a sealed key, in bytes; usual is 240.
const maxBlob = 4096

// Token is a sealed key as the header of a LUKS2 volume holds it.
type Token struct {
	ID      int      // its number in the header
	Slots   []string // key slots that it opens, by their numbers
	Blob    []byte   // TPM2B_PRIVATE and TPM2B_PUBLIC
	PCRs    []int
	Bank    string // of the PCRs
	Primary string // algorithm of the key that it is sealed under
	Policy  []byte // digest of the policy that opens it
}

// tokenText is a token in JSON, as systemd 252 writes it.
type tokenText struct {
	Type      string   `json:"type"`
	Slots     []string `json:"keyslots"`
	Blob      []byte   `json:"tpm2-blob"`
	PCRs      []int    `json:"tpm2-pcrs"`
	Bank      string   `json:"tpm2-pcr-bank,omitempty"`
	Primary   string   `json:"tpm2-primary-alg,omitempty"`
	Policy    string   `json:"tpm2-policy-hash"`
	PIN       bool     `json:"tpm2-pin,omitempty"`
	PublicKey string   `json:"tpm2_pubkey,omitempty"`
	SRK       string   `json:"tpm2_srk,omitempty"`
	Lock      bool     `json:"tpm2_pcrlock,omitempty"`
}

// encode writes the token for cryptsetup.
func (t *Token) encode() ([]byte, error) {
	return json.Marshal(tokenText{
		Type: tokenType, Slots: t.Slots, Blob: t.Blob, PCRs: t.PCRs, Bank: t.Bank, Primary: t.Primary, Policy: hex.EncodeToString(t.Policy),
	})
}

// decodeToken reads a token of any type; one that is not of ours is nil.
func decodeToken(id int, raw []byte) (*Token, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, fmt.Errorf("token %d: %w", id, err)
	}
	if kind.Type != tokenType {
		return nil, nil
	}
	var text tokenText
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("token %d: %w", id, err)
	}
	t := &Token{ID: id, Slots: text.Slots, Blob: text.Blob, PCRs: text.PCRs, Bank: text.Bank, Primary: text.Primary}
	if t.Bank == "" {
		t.Bank = bank
	}
	if t.Primary == "" {
		t.Primary = primaryECC
	}
	var err error
	if t.Policy, err = hex.DecodeString(text.Policy); err != nil {
		return nil, fmt.Errorf("token %d: policy: %w", id, err)
	}
	switch {
	case text.PIN || text.PublicKey != "" || text.SRK != "" || text.Lock:
		return nil, fault.Errorf(fault.Usage, "token %d: it needs a PIN, a signed policy or a key that is kept in the TPM, which this program does not do", id)
	case len(t.Blob) == 0 || len(t.Blob) > maxBlob:
		return nil, fmt.Errorf("token %d: its sealed key has %d bytes; 1 to %d are right", id, len(t.Blob), maxBlob)
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("token %d: %w", id, err)
	}
	return t, nil
}

// CheckPCRs refuses registers that a key cannot be bound to, as class fault.Usage.
func CheckPCRs(pcrs []int) error {
	if len(pcrs) == 0 {
		return fault.Errorf(fault.Usage, "no PCR is given; write for example 7")
	}
	for i, n := range pcrs {
		if n < 0 || n > MaxPCR || slices.Contains(pcrs[:i], n) {
			return fault.Errorf(fault.Usage, "PCR %d is given twice, or is none of 0 to %d", n, MaxPCR)
		}
	}
	return nil
}

func (t *Token) check() error {
	switch {
	case t.Bank != bank:
		return fmt.Errorf("its PCRs are of the bank %q; this program reads sha256", t.Bank)
	case t.Primary != primaryECC && t.Primary != primaryRSA:
		return fmt.Errorf("it is sealed under a key of the type %q; known: ecc, rsa", t.Primary)
	}
	return CheckPCRs(t.PCRs)
}

// registers names the PCRs for people: 4+7.
func (t *Token) registers() string { return FormatPCRs(t.PCRs) }

// FormatPCRs writes registers as systemd does: 4+7.
func FormatPCRs(pcrs []int) string {
	words := make([]string, len(pcrs))
	for i, n := range pcrs {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, "+")
}
