package secureboot

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
	"unicode/utf16"

	"github.com/google/uuid"
)

// Variable is an authenticated variable of UEFI, ready to be written: what a
// .auth file holds.
type Variable struct {
	Name   string    // PK, KEK or db
	Vendor uuid.UUID // whose name space it is in
	List   []byte    // the signature list alone, a .esl file
	Auth   []byte    // time and signature, and the list
}

// attributes: kept without power, for boot and run time, authenticated by time.
const attributes = 0x01 | 0x02 | 0x04 | 0x20

// UEFI specification 2.10, 3.3, 8.2.2, 32.4.1 and 32.6.1.
var (
	vendorGlobal   = uuid.MustParse("8be4df61-93ca-11d2-aa0d-00e098032b8c")
	vendorSecurity = uuid.MustParse("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
	typeX509       = uuid.MustParse("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
	typePKCS7      = uuid.MustParse("4aafd29d-68df-49ee-8aa9-347d375665a7")
)

// Variables returns what makes a machine the owner's, in the order to write: db
// with the key's certificate and the others (DER), KEK, and last PK, with which
// Secure Boot begins.
func (k *Key) Variables(others ...[]byte) ([]Variable, error) {
	own := k.Certificate()
	owner := k.owner()
	// A variable is only replaced by a newer one. With the certificate's time the
	// same key gives the same bytes.
	at := k.key.Certificate.NotBefore
	list := signatureList(owner, own)
	db := append([]byte{}, list...)
	for _, der := range others {
		db = append(db, signatureList(owner, der)...)
	}
	variables := []Variable{
		{Name: "db", Vendor: vendorSecurity, List: db},
		{Name: "KEK", Vendor: vendorGlobal, List: list},
		{Name: "PK", Vendor: vendorGlobal, List: list},
	}
	for i := range variables {
		if err := k.authenticate(&variables[i], at); err != nil {
			return nil, err
		}
	}
	return variables, nil
}

// owner names whose certificates they are: a part of the certificate's sum.
func (k *Key) owner() uuid.UUID {
	sum := sha256.Sum256(k.Certificate())
	return uuid.UUID(sum[:16])
}

// signatureList is an EFI_SIGNATURE_LIST with one certificate.
func signatureList(owner uuid.UUID, der []byte) []byte {
	b := guid(typeX509)
	b = binary.LittleEndian.AppendUint32(b, uint32(28+16+len(der)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(16+len(der)))
	b = append(b, guid(owner)...)
	return append(b, der...)
}

// authenticate writes EFI_VARIABLE_AUTHENTICATION_2 and the list.
func (k *Key) authenticate(v *Variable, at time.Time) error {
	stamp := efiTime(at)
	var signed []byte
	for _, unit := range utf16.Encode([]rune(v.Name)) {
		signed = binary.LittleEndian.AppendUint16(signed, unit)
	}
	signed = append(signed, guid(v.Vendor)...)
	signed = binary.LittleEndian.AppendUint32(signed, attributes)
	signed = append(signed, stamp...)
	signed = append(signed, v.List...)
	signer := k.signer()
	signer.Bare = true
	signature, err := signer.Detached(signed)
	if err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint32(stamp, uint32(24+len(signature)))
	b = append(b, 0x00, 0x02, 0xf1, 0x0e) // WIN_CERT_TYPE_EFI_GUID
	b = append(b, guid(typePKCS7)...)
	b = append(b, signature...)
	v.Auth = append(b, v.List...)
	return nil
}

// efiTime is an EFI_TIME in UTC, to the second.
func efiTime(t time.Time) []byte {
	t = t.UTC()
	b := binary.LittleEndian.AppendUint16(nil, uint16(t.Year()))
	b = append(b, byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()))
	return append(b, make([]byte, 9)...)
}

// guid is a GUID as UEFI stores it: the first three fields little-endian.
func guid(u uuid.UUID) []byte {
	return []byte{u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]}
}
