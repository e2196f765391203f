package secureboot

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
)

// maxImage bounds an image that is signed, in bytes.
const maxImage = 512 << 20

// Of Microsoft's "Windows Authenticode Portable Executable Signature Format".
var (
	oidIndirectData = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}
	oidPEImageData  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 15}
	oidSHA256       = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
)

// peImageData is SpcPeImageData with no flags, and with the name that every
// signature carries in place of a file's.
var peImageData = func() []byte {
	text := []byte{}
	for _, c := range "<<<Obsolete>>>" {
		text = append(text, 0, byte(c))
	}
	wrap := func(tag byte, content []byte) []byte { return append([]byte{tag, byte(len(content))}, content...) }
	return wrap(0x30, append([]byte{0x03, 0x01, 0x00}, wrap(0xa0, wrap(0xa2, wrap(0x80, text)))...))
}()

type indirectData struct {
	Data struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	Digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Sum       []byte
	}
}

// pe is where a PE32+ image has what its signature does not cover.
type pe struct {
	checksum     int // 4 bytes
	certificates int // the directory's entry for the certificates: offset and size, 8 bytes
	table        int // offset of the certificates; the image's size if it has none
}

func parsePE(image []byte) (*pe, error) {
	at := func(offset, size int) ([]byte, error) {
		if offset < 0 || offset+size > len(image) {
			return nil, errors.New("a PE image that ends in its header")
		}
		return image[offset : offset+size], nil
	}
	if len(image) > maxImage {
		return nil, fmt.Errorf("an image of %d bytes; at most %d are signed", len(image), maxImage)
	}
	start, err := at(0x3c, 4)
	if err != nil {
		return nil, err
	}
	header := int(binary.LittleEndian.Uint32(start))
	magic, err := at(header, 26)
	if err != nil {
		return nil, err
	}
	if string(magic[:4]) != "PE\x00\x00" || binary.LittleEndian.Uint16(magic[24:]) != 0x20b {
		return nil, errors.New("not a PE image of 64 bits")
	}
	optional := header + 24
	p := &pe{checksum: optional + 64, certificates: optional + 112 + 4*8, table: len(image)}
	directory, err := at(p.certificates, 8)
	if err != nil {
		return nil, err
	}
	offset, size := int64(binary.LittleEndian.Uint32(directory)), int64(binary.LittleEndian.Uint32(directory[4:]))
	if offset != 0 {
		if offset < int64(p.certificates)+8 || offset+size != int64(len(image)) {
			return nil, errors.New("a PE image whose signatures do not stand at its end")
		}
		p.table = int(offset)
	}
	return p, nil
}

// sum is the image's Authenticode sum.
func (p *pe) sum(image []byte) []byte {
	h := sha256.New()
	h.Write(image[:p.checksum])
	h.Write(image[p.checksum+4 : p.certificates])
	h.Write(image[p.certificates+8 : p.table])
	return h.Sum(nil)
}

// SignPE returns a PE image with the key's signature, behind those it may have:
// a boot loader, a kernel with an EFI stub, a unified kernel image.
func (k *Key) SignPE(image []byte) ([]byte, error) {
	out := bytes.Clone(image)
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	p, err := parsePE(out)
	if err != nil {
		return nil, err
	}
	var content indirectData
	content.Data.Type, content.Data.Value = oidPEImageData, asn1.RawValue{FullBytes: peImageData}
	content.Digest.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}
	content.Digest.Sum = p.sum(out)
	der, err := asn1.Marshal(content)
	if err != nil {
		return nil, err
	}
	signature, err := k.signer().Attached(oidIndirectData, der)
	if err != nil {
		return nil, err
	}
	// WIN_CERTIFICATE: length, revision 2.0, PKCS #7
	entry := binary.LittleEndian.AppendUint32(nil, uint32(8+len(signature)))
	entry = append(entry, 0x00, 0x02, 0x02, 0x00)
	entry = append(entry, signature...)
	for len(entry)%8 != 0 {
		entry = append(entry, 0)
	}
	directory := out[p.certificates:]
	binary.LittleEndian.PutUint32(directory, uint32(p.table))
	binary.LittleEndian.PutUint32(directory[4:], uint32(len(out)-p.table+len(entry)))
	return append(out, entry...), nil
}
