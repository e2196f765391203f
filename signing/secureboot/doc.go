// Package secureboot signs what a machine under UEFI Secure Boot starts.
//
// In: the owner's [Key] (RSA and its certificate, in the folder of the other
// keys), and files. Out: boot loaders and kernels with a signature that firmware
// checks ([Key.SignPE]), GRUB's image with the owner's key inside ([Key.IntoGRUB])
// and the detached signatures that this GRUB asks of every file it reads
// ([Key.SignFile]), and the variables that make a machine the owner's
// ([Key.Variables]).
//
// The chain: firmware trusts the certificates in its variable db, GRUB's image is
// signed with one of them, GRUB trusts the one key inside it, the kernel is
// locked down and loads modules signed by another certificate in db.
//
// The same input and key give the same bytes. Nothing here writes a machine's
// variables; [Enroll] does.
package secureboot
