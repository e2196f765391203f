package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/signing/secureboot"
)

// KeysDir has the machine's own key of Secure Boot, with which it signs what it
// starts, if its boot loader asks for signatures.
const KeysDir = "etc/ashlar/secureboot"

// TrustedDir has certificates (*.der) that the machine's firmware shall trust
// besides its own: whose media it starts, and whose kernel modules it loads.
const TrustedDir = KeysDir + "/trusted"

// signedImage is GRUB for UEFI with room for a key, plainImage the one without.
const (
	signedImage = "lib/ashlar/boot/secure.efi"
	plainImage  = "lib/ashlar/boot/BOOTX64.EFI"
)

const signature = ".sig"

// MachineKey returns the key with which the system below root can sign what it
// starts, nil if there is none. One that others can read is refused (class
// fault.Security).
func MachineKey(root string) (*secureboot.Key, error) {
	dir := filepath.Join(root, KeysDir)
	if _, err := os.Lstat(filepath.Join(dir, secureboot.KeyFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	key, _, err := secureboot.Open(dir)
	return key, err
}

// MakeMachineKey returns the key of the system below root, and makes it if there is
// none. trusted are certificates to keep beside it; see [TrustedDir].
func MakeMachineKey(root string, trusted [][]byte) (*secureboot.Key, error) {
	for _, dir := range []string{KeysDir, TrustedDir} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			return nil, err
		}
	}
	for _, der := range trusted {
		name, err := secureboot.CertificateName(der)
		if err != nil {
			return nil, err
		}
		if err := durable.WriteFile(filepath.Join(root, TrustedDir, name), der, 0o600); err != nil {
			return nil, err
		}
	}
	key, _, err := secureboot.Open(filepath.Join(root, KeysDir))
	return key, err
}

// Trusted returns the certificates in [TrustedDir].
func Trusted(root string) (certificates [][]byte, err error) {
	names, err := filepath.Glob(filepath.Join(root, TrustedDir, "*.der"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		der, err := os.ReadFile(name)
		if err == nil {
			_, err = secureboot.CertificateName(der)
		}
		if err != nil {
			return nil, fault.Mark(fmt.Errorf("%s: %w", name, err), fault.Usage, "put a certificate in DER there, or remove the file")
		}
		certificates = append(certificates, der)
	}
	return certificates, nil
}

// sign is the signature of a file that GRUB reads. The time in it says nothing:
// the same file always has the same.
func sign(key *secureboot.Key, content []byte) ([]byte, error) {
	return key.SignFile(content, time.Unix(1, 0))
}

// placeSigned places a file and, if the machine has a key, its signature.
func placeSigned(dir, name string, content []byte, key *secureboot.Key) error {
	if err := place(dir, name, content); err != nil || key == nil {
		return err
	}
	sig, err := sign(key, content)
	if err != nil {
		return err
	}
	return place(dir, name+signature, sig)
}

// complete tells whether a file is there, and signed if it must be.
func complete(dir, name string, key *secureboot.Key) bool {
	return there(dir, name) && (key == nil || there(dir, name+signature))
}

// key returns the machine's key, nil where the boot loader asks for no signatures.
// Where it does and the key is gone, nothing may be written: the machine would not
// start it.
func (l *Loader) key(dir string) (*secureboot.Key, error) {
	if !there(dir, ConfigPath+signature) {
		return nil, nil
	}
	key, err := MachineKey(l.system.Root())
	if err == nil && key == nil {
		err = fault.Mark(errors.New("the boot loader starts only what is signed, and the machine's key is gone from /"+KeysDir), fault.Security,
			"bring the key back from a backup, or switch Secure Boot off and run: pkgtool secureboot unsign")
	}
	return key, err
}

// Sign lets the boot loader start only what bears a signature of the machine's
// key, and signs what it has. Signatures come first, which another boot loader
// does not mind; the boot loader itself is replaced last.
func (l *Loader) Sign(ctx context.Context) error {
	key, err := MachineKey(l.system.Root())
	if err != nil {
		return err
	}
	if key == nil {
		return fault.Errorf(fault.Usage, "/%s has no key", KeysDir)
	}
	image, err := l.image(signedImage)
	if err != nil {
		return err
	}
	if image, err = key.IntoGRUB(image); err != nil {
		return err
	}
	if err := l.Update(ctx); err != nil { // the current generation and both menus' entries
		return err
	}
	return l.each(func(dir string) error {
		if err := signEntries(dir, key); err != nil {
			return err
		}
		for name, content := range map[string][]byte{MarkerPath: nil, ConfigPath: []byte(Config)} {
			if err := placeSigned(dir, name, content, key); err != nil {
				return err
			}
		}
		for _, menu := range []string{"a", "b"} {
			content, err := os.ReadFile(filepath.Join(dir, menuPath(menu)))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = placeSigned(dir, menuPath(menu), content, key)
			}
			if err != nil {
				return err
			}
		}
		if err := flush(dir); err != nil {
			return err
		}
		return place(dir, LoaderPath, image)
	})
}

// signEntries signs what the entries name and nobody has signed, after having
// looked that it is what was written: names are made of content.
func signEntries(dir string, key *secureboot.Key) error {
	entries, err := readEntries(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, name := range []string{e.Kernel, e.Initrd} {
			if name == "" {
				continue
			}
			content, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			sig, err := sign(key, content)
			if err != nil {
				return err
			}
			if old, err := os.ReadFile(filepath.Join(dir, name+signature)); err == nil && bytes.Equal(old, sig) {
				continue
			}
			if err := place(dir, name+signature, sig); err != nil {
				return err
			}
		}
	}
	return nil
}

// Signed tells whether the boot loader starts only what is signed.
func (l *Loader) Signed() (signed bool, err error) {
	err = l.first(func(dir string) error {
		signed = there(dir, ConfigPath+signature)
		return nil
	})
	return signed, err
}

// Unsign is the way back: a boot loader that starts anything. The machine's key
// stays.
func (l *Loader) Unsign() error {
	image, err := l.image(plainImage)
	if err != nil {
		return err
	}
	return l.each(func(dir string) error {
		if err := place(dir, LoaderPath, image); err != nil {
			return err
		}
		if err := flush(dir); err != nil {
			return err
		}
		return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.HasSuffix(name, signature) {
				err = os.Remove(name)
			}
			return err
		})
	})
}

// image reads an image of GRUB that the package has.
func (l *Loader) image(name string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(l.system.Root(), "usr", name))
	if err != nil {
		return nil, fault.Mark(err, fault.Usage, "install the boot loader: pkgtool install grub")
	}
	return content, nil
}
