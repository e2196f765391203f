// Package rsakey keeps RSA keys with a certificate of their own, for those whom
// X.509 is the language of: kernels, firmware.
//
// In: a folder and a name. Out: a [Key], made on first use: NAME.key (PKCS #8 in
// PEM) and NAME.der (the certificate as mokutil and firmware take it).
package rsakey

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
)

// Key is a private key and its self-signed certificate.
type Key struct {
	Private     *rsa.PrivateKey
	Certificate *x509.Certificate
}

// Kind is what a key is for.
type Kind struct {
	Name      string // of its files, without extension
	Title     string // what the certificate is called, before a part of its key's sum
	Bits      int
	Signature x509.SignatureAlgorithm // of the certificate
	CA        bool                    // the certificate vouches for others
}

// KeyFile and CertificateFile are the names of a key's files in its folder.
func (k Kind) KeyFile() string         { return k.Name + ".key" }
func (k Kind) CertificateFile() string { return k.Name + ".der" }

// Open reads the key in dir, or makes one there, which made reports. Keys that
// other users can read are refused (class fault.Security).
func Open(dir string, kind Kind) (key *Key, made bool, err error) {
	path := filepath.Join(dir, kind.KeyFile())
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = generate(dir, kind)
		return key, true, err
	}
	if err != nil {
		return nil, false, err
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return nil, false, fault.Mark(fmt.Errorf("private key %s can be read by others (mode %04o)", path, info.Mode().Perm()),
			fault.Security, "chmod 600 "+path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, false, err
	}
	der, err := os.ReadFile(filepath.Join(dir, kind.CertificateFile()))
	if err != nil {
		return nil, false, err
	}
	if key, err = parse(text, der); err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	return key, false, nil
}

func parse(text, der []byte) (*Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T; kernels and firmware verify with RSA", parsed)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if !private.PublicKey.Equal(certificate.PublicKey) {
		return nil, errors.New("the certificate is of another key")
	}
	return &Key{private, certificate}, nil
}

// generate makes a key whose certificate says nothing of its owner but a name.
func generate(dir string, kind Kind) (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, kind.Bits)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	public := x509.MarshalPKCS1PublicKey(&private.PublicKey)
	id := sha1.Sum(public) // RFC 5280, 4.2.1.2: a name, not a proof
	now := time.Now().UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("%s %x", kind.Title, id[:4])},
		NotBefore: now, NotAfter: now.AddDate(100, 0, 0), // kernels and firmware look at neither
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true, IsCA: kind.CA, SubjectKeyId: id[:], AuthorityKeyId: id[:],
		SignatureAlgorithm: kind.Signature,
	}
	if kind.CA {
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The certificate first: a key without one would be refused ever after.
	if err := durable.WriteFile(filepath.Join(dir, kind.CertificateFile()), der, 0o644); err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	if err := durable.WriteFile(filepath.Join(dir, kind.KeyFile()), text, 0o600); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &Key{private, certificate}, err
}
