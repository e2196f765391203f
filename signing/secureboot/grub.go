package secureboot

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/big"
	"time"
)

// blank is what GRUB's image has in place of a key, with zeros behind it.
var blank = append([]byte("ASHLAR PUBLIC KEY"), make([]byte, 4096-len("ASHLAR PUBLIC KEY"))...)

// IntoGRUB returns GRUB's image (secure.efi of package grub) with the key in it,
// signed for firmware.
func (k *Key) IntoGRUB(image []byte) ([]byte, error) {
	at := bytes.Index(image, blank)
	key := k.PublicKey()
	if at < 0 || len(key) > len(blank) {
		return nil, errors.New("the boot loader's image has no room for a key; it is of another release of package grub")
	}
	out := bytes.Clone(image)
	clear(out[at : at+len(blank)])
	copy(out[at:], key)
	return k.SignPE(out)
}

// GRUB reads OpenPGP packets with headers of the old format only, and looks for
// the signer's key id among what a signature does not cover; libraries write
// neither. So the two packets are written here (RFC 9580, 4.2.2, 5.2.3, 5.5.2).

// PublicKey returns the key as an OpenPGP packet, as GRUB reads it.
func (k *Key) PublicKey() []byte { return packet(6, k.publicKey()) }

func (k *Key) publicKey() []byte {
	public := &k.key.Private.PublicKey
	body := []byte{4}
	body = binary.BigEndian.AppendUint32(body, uint32(k.key.Certificate.NotBefore.Unix()))
	body = append(body, 1) // RSA
	body = appendMPI(body, public.N)
	return appendMPI(body, big.NewInt(int64(public.E)))
}

// keyID is the last eight bytes of the key's fingerprint.
func (k *Key) keyID() []byte {
	sum := sha1.Sum(packet(6, k.publicKey()))
	return sum[12:]
}

// SignFile returns the detached signature of a file that GRUB reads, which looks
// for it beside the file, in FILE.sig. The time stands in the signature.
func (k *Key) SignFile(content []byte, at time.Time) ([]byte, error) {
	// version 4, of a binary document, RSA, SHA-256; covered: the time
	head := []byte{4, 0, 1, 8, 0, 6, 5, 2}
	head = binary.BigEndian.AppendUint32(head, uint32(at.Unix()))
	h := sha256.New()
	h.Write(content)
	h.Write(head)
	h.Write(binary.BigEndian.AppendUint32([]byte{4, 0xff}, uint32(len(head))))
	sum := h.Sum(nil)
	signature, err := rsa.SignPKCS1v15(nil, k.key.Private, crypto.SHA256, sum)
	if err != nil {
		return nil, err
	}
	body := append(bytes.Clone(head), 0, 10, 9, 16) // not covered: the signer
	body = append(body, k.keyID()...)
	body = append(body, sum[0], sum[1])
	return packet(2, appendMPI(body, new(big.Int).SetBytes(signature))), nil
}

// packet puts a header of the old format before a packet's body.
func packet(tag byte, body []byte) []byte {
	return append([]byte{0x80 | tag<<2 | 1, byte(len(body) >> 8), byte(len(body))}, body...)
}

func appendMPI(b []byte, n *big.Int) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(n.BitLen()))
	return append(b, n.Bytes()...)
}
