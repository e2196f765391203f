package iso

import (
	"time"

	"ashlar/iso/tree"
	"ashlar/pkgtool/pkgfile"
	"ashlar/signing/secureboot"
)

// SecureBoot is whose machines a medium starts under Secure Boot.
type SecureBoot struct {
	Key *secureboot.Key
	// Certificates (DER) that the machines trust besides the key's: of kernel
	// modules.
	Certificates [][]byte
}

// keysDir is where a medium has the variables of its owner; OwnerKeys is where the
// live system sees them.
const (
	keysDir   = "about/secureboot/"
	OwnerKeys = mediumPlace + "/about/secureboot"
)

// inputs is what of the owner an image depends on.
func (s *SecureBoot) inputs() any {
	if s == nil {
		return nil
	}
	return []any{s.Key.Certificate(), s.Certificates}
}

// secureFiles adds to the files that GRUB reads their signatures.
func (a *assembly) secureFiles(files map[string][]byte) error {
	if a.SecureBoot == nil {
		return nil
	}
	signed, err := a.SecureBoot.Key.SignPE(files[kernelPath])
	if err != nil {
		return err
	}
	files[kernelPath] = signed
	for _, p := range []string{ManifestName, menuPath, kernelPath, initrdPath} {
		if files[p+".sig"], err = a.SecureBoot.Key.SignFile(files[p], time.Unix(a.epoch, 0)); err != nil {
			return err
		}
	}
	variables, err := a.SecureBoot.Key.Variables(a.SecureBoot.Certificates...)
	if err != nil {
		return err
	}
	for _, v := range variables {
		files[keysDir+v.Name+".auth"] = v.Auth
	}
	return nil
}

// systemFiles are the files of the EFI system partition: GRUB under the name that
// firmware looks for on a removable medium and, for the menus of firmware in which
// keys are enrolled by hand, the owner's certificates.
func (a *assembly) systemFiles(loader *pkgfile.Package) ([]tree.Entry, error) {
	file := func(path string, content []byte) tree.Entry {
		return tree.Entry{Path: path, Size: int64(len(content)), Open: tree.Bytes(content)}
	}
	if a.SecureBoot == nil {
		efi, err := read(loader, bootDir+"BOOTX64.EFI", maxBootFile)
		return []tree.Entry{file("EFI/BOOT/BOOTX64.EFI", efi)}, err
	}
	image, err := read(loader, bootDir+"secure.efi", maxBootFile)
	if err != nil {
		return nil, err
	}
	efi, err := a.SecureBoot.Key.IntoGRUB(image)
	if err != nil {
		return nil, err
	}
	entries := []tree.Entry{file("EFI/BOOT/BOOTX64.EFI", efi), file("keys/owner.der", a.SecureBoot.Key.Certificate())}
	for _, der := range a.SecureBoot.Certificates {
		entries = append(entries, file("keys/modules.der", der))
	}
	return entries, nil
}
