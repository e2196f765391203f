// Package kmod signs kernel modules as the kernel's own scripts/sign-file does.
//
// In: a module, and a [Key] of the publisher: RSA and its X.509 certificate, in
// the folder of the OpenPGP keys. Out: the module with a detached CMS signature
// (RFC 5652, SHA-512, no attributes) and the kernel's trailer behind it.
//
// The same module and key give the same bytes. The kernel accepts such modules
// when the certificate is among the firmware's or the machine owner's keys
// (Secure Boot's db, MOK), or was built in. Nothing here loads modules.
package kmod
