// Package diskkey lets a TPM 2.0 open an encrypted disk.
//
// A random key is added to the LUKS2 volume, and sealed: the TPM alone can
// decrypt it, and does so only while its platform configuration registers (PCRs)
// hold what they held when it was sealed. The sealed key lies in the volume's
// header, as a token of the type systemd-tpm2, in the format of
// systemd-cryptenroll(1): what one of them writes, the other opens.
//
// PCR 7, the default, holds how Secure Boot stands and with whose keys. It stays
// the same over updates of kernels and firmware, but not when Secure Boot is
// turned on or its keys change. Then the passphrase opens the disk, and
// [Enroll] seals a new key.
//
// What the TPM gives out crosses the bus to it encrypted.
package diskkey
