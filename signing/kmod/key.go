package kmod

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

// Key signs modules.
type Key struct {
	private     *rsa.PrivateKey
	certificate *x509.Certificate
}

// The files of a key in its folder. The certificate is DER, as mokutil and
// firmware take it.
const (
	KeyFile         = "modules.key"
	CertificateFile = "modules.der"
)

// keyBits is what kernels' own keys have.
const keyBits = 4096

// Open reads the key in dir, or makes one there, which made reports. Keys that
// other users can read are refused (class fault.Security).
func Open(dir string) (key *Key, made bool, err error) {
	path := filepath.Join(dir, KeyFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = generate(dir)
		return key, true, err
	}
	if err != nil {
		return nil, false, err
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return nil, false, fault.Errorf(fault.Security, "%s has mode %04o: other users can get at the key of kernel modules; chmod 0600 it, and think about replacing it", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, false, err
	}
	der, err := os.ReadFile(filepath.Join(dir, CertificateFile))
	if err != nil {
		return nil, false, fmt.Errorf("certificate of the key of kernel modules: %w", err)
	}
	key, err = parse(text, der)
	if err != nil {
		return nil, false, fmt.Errorf("key of kernel modules in %s: %w", dir, err)
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
		return nil, fmt.Errorf("a key of type %T; kernels verify modules with RSA", parsed)
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
func generate(dir string) (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
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
		SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("kernel modules %x", id[:4])},
		NotBefore: now, NotAfter: now.AddDate(100, 0, 0), // kernels look at neither
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true, SubjectKeyId: id[:], AuthorityKeyId: id[:],
		SignatureAlgorithm: x509.SHA512WithRSA,
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
	if err := durable.WriteFile(filepath.Join(dir, CertificateFile), der, 0o644); err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	if err := durable.WriteFile(filepath.Join(dir, KeyFile), text, 0o600); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &Key{private, certificate}, err
}

// Certificate returns the certificate in DER, for Secure Boot's db or mokutil.
func (k *Key) Certificate() []byte { return k.certificate.Raw }
