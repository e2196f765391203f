// Command unlock opens an encrypted disk with the key that the TPM has sealed; it
// is what live-init starts in the initial RAM file system before it asks for a
// passphrase.
//
//	unlock-disk DEVICE NAME
//
// It ends with 0 if /dev/mapper/NAME is there, and else says on its standard error
// why not.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"ashlar/pkgtool/diskkey"
)

// limit bounds the TPM's answers; slow ones take seconds to make their key.
const limit = time.Minute

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: unlock-disk DEVICE NAME")
		os.Exit(2)
	}
	if err := unlock(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "the TPM does not open %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func unlock(device, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tpm, err := diskkey.Open()
	if err != nil {
		return err
	}
	defer tpm.Close()
	volume := diskkey.Volume{Device: device, Cryptsetup: diskkey.Program("/usr/bin/cryptsetup")}
	passphrase, err := volume.Passphrase(ctx, tpm)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	_, err = volume.Cryptsetup(ctx, passphrase, "open", "--key-file=-", device, name)
	return err
}
