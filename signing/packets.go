package signing

import (
	"errors"
	"fmt"
)

// Limits on input from outside. Certificate flooding has made keyrings of real
// projects unreadable; no honest key comes near these.
const (
	maxKeyring       = 1 << 20  // bytes of a keyring or key
	maxSignature     = 64 << 10 // bytes of one detached signature
	maxSignatures    = 16       // signatures over one thing
	maxKeys          = 256      // certificates in a keyring
	maxUserIDs       = 32       // per certificate
	maxKeySignatures = 256      // per certificate
	maxSubkeys       = 32       // per certificate
)

// OpenPGP packet tags (RFC 9580, section 5).
const (
	tagSignature     = 2
	tagSecretKey     = 5
	tagPublicKey     = 6
	tagSecretSubkey  = 7
	tagMarker        = 10
	tagTrust         = 12
	tagUserID        = 13
	tagPublicSubkey  = 14
	tagUserAttribute = 17
)

// rawPacket is one packet with its header, and its body.
type rawPacket struct {
	tag         int
	whole, body []byte
}

// splitPackets cuts data into packets. Lengths must be definite and exact:
// partial and open-ended lengths, which only streamed messages use, are errors.
func splitPackets(data []byte, most int) ([]rawPacket, error) {
	var packets []rawPacket
	for len(data) > 0 {
		if len(packets) == most {
			return nil, fmt.Errorf("more than %d packets", most)
		}
		tag, header, length, err := packetHeader(data)
		if err != nil {
			return nil, err
		}
		if length > len(data)-header {
			return nil, errors.New("truncated packet")
		}
		packets = append(packets, rawPacket{tag, data[:header+length], data[header : header+length]})
		data = data[header+length:]
	}
	return packets, nil
}

func packetHeader(b []byte) (tag, header, length int, err error) {
	if b[0]&0x80 == 0 {
		return 0, 0, 0, errors.New("garbage between OpenPGP packets")
	}
	need := func(n int) bool { return len(b) >= n }
	number := func(b []byte) (n int) {
		for _, x := range b {
			n = n<<8 | int(x)
		}
		return n
	}
	truncated := errors.New("truncated packet header")
	if b[0]&0x40 == 0 { // old format
		width := 1 << (b[0] & 3)
		if width == 8 {
			return 0, 0, 0, errors.New("packet of indeterminate length")
		}
		if !need(1 + width) {
			return 0, 0, 0, truncated
		}
		return int(b[0]&0x3f) >> 2, 1 + width, number(b[1 : 1+width]), nil
	}
	tag = int(b[0] & 0x3f)
	switch {
	case !need(2):
		return 0, 0, 0, truncated
	case b[1] < 192:
		return tag, 2, int(b[1]), nil
	case b[1] < 224:
		if !need(3) {
			return 0, 0, 0, truncated
		}
		return tag, 3, (int(b[1])-192)<<8 + int(b[2]) + 192, nil
	case b[1] == 255:
		if !need(6) {
			return 0, 0, 0, truncated
		}
		return tag, 6, number(b[2:6]), nil
	}
	return 0, 0, 0, errors.New("packet of partial length")
}

// checkKeyPackets bounds what is in a certificate or keyring before the
// OpenPGP library sees it, and tells private from public keys.
func checkKeyPackets(data []byte, private bool) error {
	packets, err := splitPackets(data, maxKeys*8+maxKeySignatures*4)
	if err != nil {
		return err
	}
	var keys, ids, sigs, subkeys int
	for _, p := range packets {
		switch p.tag {
		case tagPublicKey, tagSecretKey:
			if (p.tag == tagSecretKey) != private {
				if private {
					return errors.New("this is a public key; a private key is expected")
				}
				return errors.New("this is a private key; give only public keys away")
			}
			keys++
			ids, sigs, subkeys = 0, 0, 0
		case tagUserID, tagUserAttribute:
			ids++
		case tagSignature:
			sigs++
		case tagPublicSubkey, tagSecretSubkey:
			if (p.tag == tagSecretSubkey) != private {
				return errors.New("public and private keys mixed")
			}
			subkeys++
		case tagMarker, tagTrust:
		default:
			return fmt.Errorf("packet of type %d, which is not part of a key", p.tag)
		}
		switch {
		case keys == 0:
			return errors.New("the first packet is not a key")
		case keys > maxKeys:
			return fmt.Errorf("more than %d keys", maxKeys)
		case ids > maxUserIDs:
			return fmt.Errorf("more than %d user ids on one key", maxUserIDs)
		case sigs > maxKeySignatures:
			return fmt.Errorf("more than %d signatures on one key; export it with gpg --export-options export-minimal", maxKeySignatures)
		case subkeys > maxSubkeys:
			return fmt.Errorf("more than %d subkeys on one key", maxSubkeys)
		}
	}
	if keys == 0 {
		return errors.New("no key in it")
	}
	return nil
}
