// Package boot starts images in QEMU and talks to them, for tests and for
// people (`pkgtool boot`).
//
// In: an image or a kernel with its initrd, and [Options]. Out: a [VM] with a
// serial console to wait for lines on, a shell to run commands in, QMP,
// screenshots, and on a failure a folder with everything that helps.
//
// It promises: no output is lost (QEMU starts stopped and connects to sockets
// that are listening already); nothing waits for ever (a total limit, and an
// idle limit on a silent console); a panic, an Oops or a boot loader's error
// ends a wait at once; [VM.Close] leaves no process and no file behind.
//
// Emulation (TCG) is the default; KVM is used only after a guest really ran in
// it, because a machine can have a /dev/kvm that does not work.
package boot
