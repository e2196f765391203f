// Package signing makes and checks detached OpenPGP signatures.
//
// In: bytes, keys. Out: signatures ([PrivateKey.Sign]), and the fingerprints of
// the trusted keys that signed ([Keyring.Verify]). [Store] is a folder of
// private keys.
//
// Promises: a signature is a pure function of the key, the bytes and the time
// the caller gives (v4, Ed25519, SHA-512, no salt), and gpg accepts it. A
// verdict never rests on a key id or a user id, only on full fingerprints of
// primary keys. Hostile input is bounded in size, and a panic of the OpenPGP
// library comes back as an error.
//
// Never: fetch a key, ask gpg for a verdict, accept a text, inline or cleartext
// signature, or read the clock except to judge validity "now".
package signing
