package signing

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ashlar/pkgtool/fault"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// The cases P01 to P30 are those of the project's list of what OpenPGP
// libraries and gpg let through. Times: a key is made at created, signs a day
// later, and is judged ten days later.
var (
	signed = created.Add(24 * time.Hour)
	now    = created.Add(240 * time.Hour)
	data   = []byte("what is signed\n")
)

// entity is a key made with the library, changed as a case needs it.
func entity(t testing.TB, at time.Time, change ...func(*packet.Config)) *openpgp.Entity {
	t.Helper()
	cfg := config(at)
	for _, c := range change {
		c(cfg)
	}
	e, err := openpgp.NewEntity("Test", "", "test@example.org", cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.Subkeys = nil
	return e
}

func rsaBits(bits int) func(*packet.Config) {
	return func(c *packet.Config) { c.Algorithm, c.RSABits, c.MinRSABits = packet.PubKeyAlgoRSA, bits, 1024 }
}

func lifetime(d time.Duration) func(*packet.Config) {
	return func(c *packet.Config) { c.KeyLifetimeSecs = uint32(d.Seconds()) }
}

func public(t testing.TB, e *openpgp.Entity) *PublicKey {
	t.Helper()
	var raw bytes.Buffer
	if err := e.Serialize(&raw); err != nil {
		t.Fatal(err)
	}
	key, err := ParsePublic(raw.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rawSign signs with any key of any quality, asking nobody.
func rawSign(t testing.TB, priv *packet.PrivateKey, change ...func(*packet.Signature)) []byte {
	t.Helper()
	sig := &packet.Signature{Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: priv.PubKeyAlgo, Hash: crypto.SHA512,
		CreationTime: signed, IssuerKeyId: &priv.KeyId, IssuerKeyVersion: 4, IssuerFingerprint: priv.Fingerprint}
	for _, c := range change {
		c(sig)
	}
	h := sig.Hash.New()
	h.Write(data)
	if err := sig.Sign(h, priv, config(signed)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := sig.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func dated(at time.Time) func(*packet.Signature) {
	return func(s *packet.Signature) { s.CreationTime = at }
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bindSubkey binds a fresh Ed25519 key to e; change may spoil the binding.
func bindSubkey(t testing.TB, e *openpgp.Entity, cross bool, change func(*packet.Signature)) *openpgp.Subkey {
	t.Helper()
	cfg := config(created)
	must(t, e.AddSigningSubkey(cfg))
	sub := &e.Subkeys[len(e.Subkeys)-1]
	binding := sub.Bindings[0].Packet
	change(binding)
	if !cross {
		binding.EmbeddedSignature = nil
	}
	must(t, binding.SignKey(sub.PublicKey, e.PrivateKey, cfg))
	return sub
}

// outcome is what a case judges: signatures over data, and who is trusted.
type outcome struct {
	ring   []*PublicKey
	sigs   [][]byte
	policy Policy
}

// policyCase is one of the list.
type policyCase struct {
	name string
	make func() outcome
	want error // nil: accepted
	text string
}

func policyCases(t *testing.T) []policyCase {
	good := entity(t, created)
	goodKey := public(t, good)
	goodSig := rawSign(t, good.PrivateKey)
	other := entity(t, created)
	by := func(e *openpgp.Entity, sigs ...[]byte) outcome {
		return outcome{ring: []*PublicKey{public(t, e)}, sigs: sigs}
	}
	revoked := func(reason packet.ReasonForRevocation) func() outcome {
		return func() outcome {
			e := entity(t, created)
			sig := rawSign(t, e.PrivateKey)
			must(t, e.Revoke(reason, "", config(signed.Add(48*time.Hour))))
			return by(e, sig)
		}
	}
	armor := func(kind string, b []byte) []byte { return armored(kind, b) }
	return []policyCase{
		{"P01 good", func() outcome { return by(good, goodSig) }, nil, ""},
		{"P01 armored", func() outcome { return by(good, armor(openpgp.SignatureType, goodSig)) }, nil, ""},
		{"P01 RSA-3072", func() outcome { e := entity(t, created, rsaBits(3072)); return by(e, rawSign(t, e.PrivateKey)) }, nil, ""},
		{"P01 SHA-256", func() outcome {
			return by(good, rawSign(t, good.PrivateKey, func(s *packet.Signature) { s.Hash = crypto.SHA256 }))
		}, nil, ""},
		{"P02 other data", func() outcome {
			sig := bytes.Clone(goodSig)
			sig[len(sig)-1] ^= 1
			return by(good, sig)
		}, ErrBadSignature, "does not match"},
		{"P03 unknown key", func() outcome { return by(other, goodSig) }, ErrUnsigned, "keys that are not trusted here"},
		{"P03 no signature", func() outcome { return by(good) }, ErrUnsigned, "0 of 1"},
		{"P03 empty signature", func() outcome { return by(good, nil) }, ErrBadSignature, "empty"},
		{"P04 SHA-1", func() outcome {
			return by(good, rawSign(t, good.PrivateKey, func(s *packet.Signature) { s.Hash = crypto.SHA1 }))
		}, ErrBadSignature, "too weak"},
		{"P06 RSA-1024", func() outcome { e := entity(t, created, rsaBits(1024)); return by(e, rawSign(t, e.PrivateKey)) }, ErrKeyNotValid, "1024 bits"},
		{"P07 RSA-2048", func() outcome { e := entity(t, created, rsaBits(2048)); return by(e, rawSign(t, e.PrivateKey)) }, ErrKeyNotValid, "at least 3072"},
		{"P07 RSA-2048 by choice", func() outcome {
			e := entity(t, created, rsaBits(2048))
			o := by(e, rawSign(t, e.PrivateKey))
			o.policy.MinRSABits = 1 // raised to 2048
			return o
		}, nil, ""},
		{"P10 key expired since", func() outcome {
			e := entity(t, created, lifetime(72*time.Hour))
			return by(e, rawSign(t, e.PrivateKey))
		}, ErrKeyNotValid, "key has expired"},
		{"P10 judged in its time", func() outcome {
			e := entity(t, created, lifetime(72*time.Hour))
			o := by(e, rawSign(t, e.PrivateKey))
			o.policy.Now = signed.Add(time.Hour)
			return o
		}, nil, ""},
		{"P11 signature expired", func() outcome {
			hour := uint32(3600)
			return by(good, rawSign(t, good.PrivateKey, func(s *packet.Signature) { s.SigLifetimeSecs = &hour }))
		}, ErrKeyNotValid, "signature has expired"},
		{"P12 future", func() outcome { return by(good, rawSign(t, good.PrivateKey, dated(now.Add(25*time.Hour)))) }, ErrKeyNotValid, "from the future"},
		{"P12 clock a little ahead", func() outcome { return by(good, rawSign(t, good.PrivateKey, dated(now.Add(time.Hour)))) }, nil, ""},
		{"P13 older than the key", func() outcome { return by(good, rawSign(t, good.PrivateKey, dated(created.Add(-time.Hour)))) }, ErrKeyNotValid, "older than the key"},
		{"P13 older than asked for", func() outcome {
			o := by(good, goodSig)
			o.policy.NotBefore = signed.Add(time.Second)
			return o
		}, ErrKeyNotValid, "asked for"},
		{"P14 revoked without reason", revoked(packet.NoReason), ErrKeyNotValid, "revoked"},
		{"P15 compromised", revoked(packet.KeyCompromised), ErrKeyNotValid, "revoked"},
		{"P16 superseded", revoked(packet.KeySuperseded), ErrKeyNotValid, "revoked"},
		{"P17 retired", revoked(packet.KeyRetired), ErrKeyNotValid, "revoked"},
		{"P17 signing subkey", func() outcome {
			e := entity(t, created)
			sub := bindSubkey(t, e, true, func(*packet.Signature) {})
			return by(e, rawSign(t, sub.PrivateKey))
		}, nil, ""},
		{"P18 subkey revoked", func() outcome {
			e := entity(t, created)
			sub := bindSubkey(t, e, true, func(*packet.Signature) {})
			sig := rawSign(t, sub.PrivateKey)
			must(t, sub.Revoke(packet.KeyRetired, "", config(now.Add(-time.Hour))))
			return by(e, sig)
		}, ErrKeyNotValid, "subkey is revoked"},
		{"P18 primary of a revoked subkey", func() outcome {
			e := entity(t, created)
			sub := bindSubkey(t, e, true, func(*packet.Signature) {})
			must(t, sub.Revoke(packet.KeyRetired, "", config(signed)))
			return by(e, rawSign(t, e.PrivateKey))
		}, nil, ""},
		{"P19 subkey expired", func() outcome {
			e := entity(t, created)
			days := uint32(3 * 86400)
			sub := bindSubkey(t, e, true, func(s *packet.Signature) { s.KeyLifetimeSecs = &days })
			return by(e, rawSign(t, sub.PrivateKey))
		}, ErrKeyNotValid, "expired"},
		{"P20 subkey does not sign back", func() outcome {
			e := entity(t, created)
			sub := bindSubkey(t, e, false, func(*packet.Signature) {})
			return by(e, rawSign(t, sub.PrivateKey))
		}, ErrKeyNotValid, "subkey"},
		{"P21 subkey only for encryption", func() outcome {
			e := entity(t, created)
			sub := bindSubkey(t, e, false, func(s *packet.Signature) { s.FlagSign, s.FlagEncryptStorage = false, true })
			return by(e, rawSign(t, sub.PrivateKey))
		}, ErrKeyNotValid, "not meant for signing"},
		{"P22 primary not for signing", func() outcome {
			e := entity(t, created)
			for _, id := range e.Identities {
				self := id.SelfCertifications[0].Packet
				self.FlagSign = false
				must(t, self.SignUserId(id.Name, e.PrimaryKey, e.PrivateKey, config(created)))
			}
			return by(e, rawSign(t, e.PrivateKey))
		}, ErrKeyNotValid, "not meant for signing"},
		{"P22 self-signature with SHA-1", func() outcome {
			e := entity(t, created)
			for _, id := range e.Identities {
				self := id.SelfCertifications[0].Packet
				self.Hash = crypto.SHA1
				must(t, self.SignUserId(id.Name, e.PrimaryKey, e.PrivateKey, config(created)))
			}
			return by(e, rawSign(t, e.PrivateKey))
		}, ErrKeyNotValid, "self signature"},
		{"P23 user id revoked", func() outcome {
			e := entity(t, created)
			for _, id := range e.Identities {
				self := id.SelfCertifications[0].Packet
				revocation := &packet.Signature{Version: 4, SigType: packet.SigTypeCertificationRevocation, PubKeyAlgo: e.PrimaryKey.PubKeyAlgo,
					Hash: crypto.SHA512, CreationTime: signed.Add(time.Hour), IssuerKeyId: self.IssuerKeyId}
				must(t, revocation.SignUserId(id.Name, e.PrimaryKey, e.PrivateKey, config(signed)))
				id.Revocations = append(id.Revocations, packet.NewVerifiableSig(revocation))
			}
			return by(e, rawSign(t, e.PrivateKey))
		}, ErrKeyNotValid, "self signature"},
		{"P24 grafted subkey", func() outcome {
			victim, thief := entity(t, created), entity(t, created)
			sub := bindSubkey(t, thief, true, func(*packet.Signature) {})
			victim.Subkeys = append(victim.Subkeys, *sub)
			return by(victim, rawSign(t, sub.PrivateKey))
		}, ErrKeyNotValid, "subkey"},
		{"P25 threshold met by one key twice", func() outcome {
			o := by(good, goodSig, rawSign(t, good.PrivateKey, dated(signed.Add(time.Hour))))
			o.policy.Threshold = 2
			return o
		}, ErrUnsigned, "1 of 2"},
		{"P25 threshold met", func() outcome {
			o := by(good, append(bytes.Clone(goodSig), rawSign(t, other.PrivateKey)...))
			o.ring = append(o.ring, public(t, other))
			o.policy.Threshold = 2
			return o
		}, nil, ""},
		{"P26 one good, one by an unknown key", func() outcome { return by(good, rawSign(t, other.PrivateKey), goodSig) }, nil, ""},
		{"P26 one good, one bad", func() outcome {
			bad := bytes.Clone(goodSig)
			bad[len(bad)-1] ^= 1
			return by(good, goodSig, bad)
		}, ErrBadSignature, "does not match"},
		{"P27 text mode", func() outcome {
			return by(good, rawSign(t, good.PrivateKey, func(s *packet.Signature) { s.SigType = packet.SigTypeText }))
		}, ErrBadSignature, "binary data"},
		{"P28 inline message", func() outcome {
			var out bytes.Buffer
			w, err := openpgp.Sign(&out, []*openpgp.Entity{good}, nil, config(signed))
			must(t, err)
			w.Write(data)
			must(t, w.Close())
			return by(good, out.Bytes())
		}, ErrBadSignature, ""},
		{"P28 cleartext message", func() outcome {
			var out bytes.Buffer
			w, err := clearsign.Encode(&out, good.PrivateKey, config(signed))
			must(t, err)
			w.Write(data)
			must(t, w.Close())
			return by(good, out.Bytes())
		}, ErrBadSignature, "SIGNED MESSAGE"},
		{"P29 critical notation", func() outcome {
			return by(good, rawSign(t, good.PrivateKey, func(s *packet.Signature) {
				s.Notations = []*packet.Notation{{Name: "x@example.org", Value: []byte("y"), IsCritical: true, IsHumanReadable: true}}
			}))
		}, ErrBadSignature, "critical notation"},
		{"P29 critical subpacket", func() outcome {
			sig := rawSign(t, good.PrivateKey, func(s *packet.Signature) { s.PolicyURI = "https://policy.example" })
			i := bytes.Index(sig, []byte("https://policy"))
			sig[i-1] = 0x80 | 101
			return by(good, sig)
		}, ErrBadSignature, "critical"},
		{"P29 too large", func() outcome {
			return by(good, append(bytes.Clone(goodSig), make([]byte, 64<<10)...))
		}, ErrBadSignature, "bytes"},
		{"P29 too many", func() outcome { return by(good, slices.Repeat([][]byte{goodSig}, 17)...) }, ErrBadSignature, "17 signatures"},
		{"P05 MD5", func() outcome {
			sig := bytes.Clone(goodSig)
			sig[bytes.Index(sig, []byte{byte(packet.SigTypeBinary), byte(packet.PubKeyAlgoEdDSA), 10})+2] = 1 // MD5's number for SHA-512's
			return by(good, sig)
		}, ErrBadSignature, ""},
		{"P20 subkey signed back by another key", func() outcome {
			e, thief := entity(t, created), entity(t, created)
			sub := bindSubkey(t, e, true, func(*packet.Signature) {})
			other := bindSubkey(t, thief, true, func(*packet.Signature) {})
			sub.Bindings[0].Packet.EmbeddedSignature = other.Bindings[0].Packet.EmbeddedSignature
			must(t, sub.Bindings[0].Packet.SignKey(sub.PublicKey, e.PrivateKey, config(created)))
			sub.Bindings[0].Packet.EmbeddedSignature = other.Bindings[0].Packet.EmbeddedSignature
			must(t, sub.Bindings[0].Packet.SignKey(sub.PublicKey, e.PrivateKey, config(created)))
			return by(e, rawSign(t, sub.PrivateKey))
		}, ErrKeyNotValid, "subkey"},
		{"P20 subkey signed back with SHA-1", func() outcome {
			e := entity(t, created)
			sub := bindSubkey(t, e, true, func(s *packet.Signature) {})
			binding := sub.Bindings[0].Packet
			binding.EmbeddedSignature.Hash = crypto.SHA1
			must(t, binding.EmbeddedSignature.CrossSignKey(sub.PublicKey, e.PrimaryKey, sub.PrivateKey, config(created)))
			must(t, binding.SignKey(sub.PublicKey, e.PrivateKey, config(created)))
			return by(e, rawSign(t, sub.PrivateKey))
		}, ErrKeyNotValid, ""},
		{"P20 subkey bound with SHA-1", func() outcome {
			e := entity(t, created)
			sub := bindSubkey(t, e, true, func(s *packet.Signature) { s.Hash = crypto.SHA1 })
			return by(e, rawSign(t, sub.PrivateKey))
		}, ErrKeyNotValid, ""},
		{"P25 threshold met by primary key and subkey of one", func() outcome {
			e := entity(t, created)
			sub := bindSubkey(t, e, true, func(*packet.Signature) {})
			o := by(e, rawSign(t, e.PrivateKey), rawSign(t, sub.PrivateKey))
			o.policy.Threshold = 2
			return o
		}, ErrUnsigned, "1 of 2"},
		{"P29 ten thousand subpackets", func() outcome {
			return by(good, withUnhashed(goodSig, bytes.Repeat([]byte{2, 100, 0}, 10_000)))
		}, nil, ""},
		{"P29 unhashed area of a mebibyte", func() outcome {
			return by(good, withUnhashed(goodSig, bytes.Repeat([]byte{2, 100, 0}, 1<<20/3)))
		}, ErrBadSignature, "bytes"},
		{"P29 critical subpacket that is not signed", func() outcome {
			return by(good, withUnhashed(goodSig, []byte{2, 0x80 | 100, 0}))
		}, nil, ""},
		{"two armored blocks as one signature", func() outcome {
			return by(good, append(armor(openpgp.SignatureType, goodSig), armor(openpgp.SignatureType, goodSig)...))
		}, ErrBadSignature, "more than one"},
		{"armor with text before", func() outcome {
			return by(good, append([]byte("see\n"), armor(openpgp.SignatureType, goodSig)...))
		}, ErrBadSignature, "neither"},
		{"garbage behind", func() outcome { return by(good, append(bytes.Clone(goodSig), "garbage"...)) }, ErrBadSignature, "garbage"},
		{"garbage inside the packet", func() outcome {
			sig := append(bytes.Clone(goodSig), 1, 2)
			sig[1] += 2
			return by(good, sig)
		}, ErrBadSignature, "left over"},
		{"armor with text behind", func() outcome {
			return by(good, append(armor(openpgp.SignatureType, goodSig), "see https://example.org"...))
		}, ErrBadSignature, "neither"},
		{"key in place of the signature", func() outcome { return by(good, goodKey.Binary()) }, ErrBadSignature, "packet of type 6"},
		{"cut off", func() outcome { return by(good, goodSig[:40]) }, ErrBadSignature, "truncated"},
	}
}

// withUnhashed puts subpackets, which nobody signed, into a signature packet.
func withUnhashed(sig, subpackets []byte) []byte {
	packets, err := splitPackets(sig, 1)
	if err != nil {
		panic(err) // of our own making
	}
	body := packets[0].body
	at := 6 + int(body[4])<<8 + int(body[5]) // behind the hashed ones
	length := int(body[at])<<8 + int(body[at+1]) + len(subpackets)
	out := slices.Concat(body[:at], []byte{byte(length >> 8), byte(length)}, subpackets, body[at+2:])
	return slices.Concat([]byte{0xc2, 255, byte(len(out) >> 24), byte(len(out) >> 16), byte(len(out) >> 8), byte(len(out))}, out)
}

func TestPolicy(t *testing.T) {
	for _, row := range policyCases(t) {
		t.Run(row.name, func(t *testing.T) {
			o := row.make()
			if o.policy.Now.IsZero() {
				o.policy.Now = now
			}
			ring := ringOf(t, o.ring...)
			signers, err := ring.Verify(data, o.sigs, o.policy)
			if row.want == nil {
				if err != nil || len(signers) < 1 || ring.Key(signers[0]) == nil {
					t.Fatalf("%v %v", signers, err)
				}
				return
			}
			if err == nil || len(signers) != 0 {
				t.Fatalf("accepted: %v", signers)
			}
			if !errors.Is(err, row.want) || !strings.Contains(err.Error(), row.text) || fault.ClassOf(err) != fault.Security {
				t.Fatalf("got %v\nwant %v ... %s", err, row.want, row.text)
			}
		})
	}
}

// TestWhatGPGVSays runs the same cases through gpgv, and prints where it judges
// otherwise. It records and requires nothing: gpgv lets more through by design,
// and uses the clock of the machine instead of the case's.
func TestWhatGPGVSays(t *testing.T) {
	if _, err := exec.LookPath("gpgv"); err != nil {
		t.Fatal("gpgv is not installed; pkgtool/bootstrap.sh test installs it")
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, data, 0o600))
		return path
	}
	signed := file("data", data)
	agree, all := 0, 0
	var table strings.Builder
	for _, row := range policyCases(t) {
		o := row.make()
		if len(o.sigs) != 1 || o.policy != (Policy{}) {
			continue // gpgv knows no thresholds and no moments
		}
		var ring []byte
		for _, key := range o.ring {
			ring = append(ring, key.Binary()...)
		}
		cmd := exec.CommandContext(t.Context(), "gpgv", "--homedir", dir, "--status-fd", "1", "--keyring", file("ring", ring), file("sig", o.sigs[0]), signed)
		out, err := cmd.Output()
		verdict := "refused"
		if err == nil {
			verdict = "accepted"
		}
		ours := "refused"
		if row.want == nil {
			ours = "accepted"
		}
		var words []string
		for _, word := range []string{"GOODSIG", "EXPKEYSIG", "REVKEYSIG", "EXPSIG", "BADSIG", "ERRSIG", "NODATA"} {
			if bytes.Contains(out, []byte("[GNUPG:] "+word)) {
				words = append(words, word)
			}
		}
		all++
		mark := " "
		if verdict == ours {
			agree++
		} else {
			mark = "*"
		}
		fmt.Fprintf(&table, "%s %-50s ours %-8s  gpgv %-8s %s\n", mark, row.name, ours, verdict, strings.Join(words, " "))
	}
	t.Logf("%d of %d cases alike:\n%s", agree, all, table.String())
	if all < 40 {
		t.Errorf("only %d cases were run", all)
	}
}

// Verdicts are ours: nothing in this package may start a program.
func TestNoProgramIsAsked(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, name := range files {
		source, err := os.ReadFile(name)
		must(t, err)
		if !strings.HasSuffix(name, "_test.go") && (bytes.Contains(source, []byte(`"os/exec"`)) || bytes.Contains(source, []byte(`"net`))) {
			t.Errorf("%s starts programs or uses the network", name)
		}
	}
}

// P30: two keys share a key id, and the signature names only the id.
func TestKeyIDCollision(t *testing.T) {
	e, decoy := entity(t, created), entity(t, created)
	sig := rawSign(t, e.PrivateKey, func(s *packet.Signature) { s.IssuerFingerprint = nil })
	for _, order := range [][]*PublicKey{{public(t, e), public(t, decoy)}, {public(t, decoy), public(t, e)}} {
		ring := ringOf(t, order...)
		for _, key := range ring.keys {
			key.entity.PrimaryKey.KeyId = e.PrimaryKey.KeyId // what an attacker computes at great cost
		}
		signers, err := ring.Verify(data, [][]byte{sig}, Policy{Now: now})
		if err != nil || !slices.Equal(signers, []string{fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)}) {
			t.Fatalf("%v %v", signers, err)
		}
	}
}

// What gpg makes with its defaults is accepted, and what it makes badly is not.
func TestSignaturesOfGPG(t *testing.T) {
	g := newGPG(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "data")
	must(t, os.WriteFile(file, data, 0o600))
	for _, row := range []struct {
		name, algo string
		sign       []string
		want       error
	}{
		{"Ed25519", "ed25519", nil, nil},
		{"armored", "ed25519", []string{"--armor"}, nil},
		{"RSA-3072", "rsa3072", nil, nil},
		{"NIST P-256", "nistp256", nil, nil},
		{"P05 RIPEMD-160", "ed25519", []string{"--digest-algo", "RIPEMD160", "--allow-weak-digest-algos"}, ErrBadSignature},
		{"P08 DSA", "dsa2048", nil, ErrKeyNotValid},
		{"P09 secp256k1", "secp256k1", nil, ErrKeyNotValid},
	} {
		t.Run(row.name, func(t *testing.T) {
			g.t = t
			id := strings.ReplaceAll(strings.ToLower(row.name), " ", "-") + "@example.org"
			g.run("--quick-generate-key", id, row.algo, "sign", "never")
			sig := filepath.Join(dir, id+".sig")
			g.run(append(row.sign, "--local-user", id, "--output", sig, "--detach-sign", file)...)
			raw, err := os.ReadFile(sig)
			must(t, err)
			ring, err := ReadKeyring([]byte(g.run("--export", id)))
			if err != nil { // an algorithm the library does not even read
				if row.want == nil {
					t.Fatal(err)
				}
				return
			}
			_, err = ring.Verify(data, [][]byte{raw}, Policy{})
			if !errors.Is(err, row.want) || (err == nil) != (row.want == nil) {
				t.Fatalf("got %v, want %v", err, row.want)
			}
		})
	}
}

// A key made by gpg signs here, and gpg accepts that.
func TestKeyOfGPGSignsHere(t *testing.T) {
	g := newGPG(t)
	dir := t.TempDir()
	g.run("--quick-generate-key", "rsa@example.org", "rsa3072", "sign", "never")
	key, err := ParsePrivate([]byte(g.run("--armor", "--export-secret-keys", "rsa@example.org")))
	must(t, err)
	sig, err := key.Sign(data)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "data"), data, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "sig"), sig, 0o600))
	out := g.run("--status-fd", "1", "--verify", filepath.Join(dir, "sig"), filepath.Join(dir, "data"))
	if !strings.Contains(out, "VALIDSIG "+key.Fingerprint()) {
		t.Fatalf("gpg says:\n%s", out)
	}
}

func TestExpiredKeyRefusesToSign(t *testing.T) {
	key, err := newPrivateKey(entity(t, created.AddDate(-5, 0, 0), lifetime(time.Hour)))
	must(t, err)
	if _, err := key.Sign(data); fault.ClassOf(err) != fault.Security || !strings.Contains(err.Error(), "expired") {
		t.Fatalf("got %v", err)
	}
}

func TestKeyrings(t *testing.T) {
	a, b := public(t, entity(t, created)), entity(t, created)
	unrevoked := public(t, b)
	must(t, b.Revoke(packet.NoReason, "", config(signed)))
	revokedKey := public(t, b)
	private, err := generate(t).ArmoredPrivate()
	must(t, err)
	flood := bytes.Clone(a.Binary())
	for range 300 {
		flood = append(flood, rawSign(t, b.PrivateKey)...)
	}
	unknown := append(bytes.Clone(a.Binary()), 0xc0|60, 1, 0)
	for _, row := range []struct {
		name string
		in   []byte
		keys int
		want string
	}{
		{"two binary keys", append(a.Binary(), unrevoked.Binary()...), 2, ""},
		{"two armored blocks", append(a.Armored(), unrevoked.Armored()...), 2, ""},
		{"one key twice", append(a.Armored(), a.Armored()...), 1, ""},
		{"with and without revocation", append(unrevoked.Binary(), revokedKey.Binary()...), 0, "twice with different content"},
		{"private key", private, 0, "PGP PUBLIC KEY BLOCK"},
		{"certificate flooding", flood, 0, "more than 256 signatures"},
		{"unknown packet", unknown, 0, "packet of type 60"},
		{"signature first", rawSign(t, b.PrivateKey), 0, "first packet is not a key"},
		{"nothing", nil, 0, "empty"},
		{"text", []byte("hello"), 0, "neither"},
		{"huge", make([]byte, 2<<20), 0, "more than the"},
		{"cut off", a.Binary()[:50], 0, "truncated"},
		{"no end", []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxjME"), 0, "without an end"},
	} {
		t.Run(row.name, func(t *testing.T) {
			ring, err := ReadKeyring(row.in)
			if row.want == "" {
				must(t, err)
				if len(ring.Keys()) != row.keys {
					t.Fatalf("%d keys", len(ring.Keys()))
				}
				again, err := ReadKeyring(ring.Armored())
				if err != nil || len(again.Keys()) != row.keys {
					t.Fatalf("not read again: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("got %v, want %s", err, row.want)
			}
		})
	}
}

func TestPanicBecomesAnError(t *testing.T) {
	f := func() (err error) {
		defer guard("test", &err)
		var sig *packet.Signature
		_ = sig.CreationTime
		return nil
	}
	if err := f(); fault.ClassOf(err) != fault.Security {
		t.Fatalf("got %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	key := generate(f)
	sig, err := key.Sign(data)
	must(f, err)
	ring := ringOf(f, key.Public())
	f.Add(sig)
	f.Add(armored(openpgp.SignatureType, sig))
	f.Fuzz(func(t *testing.T, b []byte) {
		if signers, err := ring.Verify(data, [][]byte{b}, Policy{}); (err == nil) != (len(signers) == 1) {
			t.Fatalf("%v %v", signers, err)
		}
		if _, err := ring.Verify([]byte("other"), [][]byte{b}, Policy{}); err == nil {
			t.Fatal("a signature over something else was accepted")
		}
	})
}

func FuzzReadKeyring(f *testing.F) {
	key := generate(f)
	f.Add(key.Public().Binary())
	f.Add(key.Public().Armored())
	private, err := key.ArmoredPrivate()
	must(f, err)
	f.Add(private)
	block, err := armor.Decode(bytes.NewReader(private))
	must(f, err)
	var raw bytes.Buffer
	raw.ReadFrom(block.Body)
	f.Add(raw.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if ring, err := ReadKeyring(b); err == nil {
			if _, err := ReadKeyring(ring.Armored()); err != nil {
				t.Fatalf("not read again: %v", err)
			}
		}
		if key, err := ParsePrivate(b); err == nil {
			key.Sign(data)
		}
	})
}
