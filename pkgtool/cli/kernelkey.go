package cli

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"

	"ashlar/pkgtool/durable"
	"ashlar/pkgtool/fault"
	"ashlar/signing"
	"ashlar/signing/kmod"

	"github.com/spf13/cobra"
)

// certificateResult is what `pkgtool kernel certificate --json` prints.
type certificateResult struct {
	Schema int    `json:"schema"` // 1
	File   string `json:"file"`
	SHA256 string `json:"sha256"` // of the certificate in DER
}

func (k *kernelCommand) certificate() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "certificate",
		Short: "Show the certificate of the key that kernel modules are signed with",
		Long: `Show where the certificate is of the key that "pkgtool build" and "pkgtool image
build" sign kernel modules with, and its SHA-256; --out copies it. Key and
certificate are made on first use and lie with the packager's key ($ASHLAR_KEYS,
else ~/.config/ashlar/keys).

The certificate is DER. Enrolled in the firmware's db or as a machine owner's key,
it lets a machine under Secure Boot load the modules; without Secure Boot, modules
load anyway and the kernel notes that it does not know the key.`,
		Example: `  pkgtool kernel certificate --out modules.der
  mokutil --import modules.der                    # on the machine, then restart`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := moduleKey(k.app)
			if err != nil {
				return err
			}
			der := key.Certificate()
			result := certificateResult{1, filepath.Join(signing.DefaultDir(), kmod.CertificateFile), fmt.Sprintf("%x", sha256.Sum256(der))}
			if out != "" {
				if err := durable.WriteFile(out, der, 0o644); err != nil {
					return fault.Mark(err, fault.Failed, "name a file that can be written with --out")
				}
				result.File = out
			}
			return k.app.Print(result, func(w io.Writer) { fmt.Fprintf(w, "%s  %s\n", result.SHA256, result.File) })
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "copy the certificate to `FILE`")
	return cmd
}
