package ui

import (
	"os"

	"golang.org/x/sys/unix"
)

// HideInput stops a terminal from showing what is typed, until show is called.
// It comes before the question for a secret: whoever answers as soon as the
// question is there must find nothing shown.
func HideInput(terminal *os.File) (show func(), err error) {
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, os.NewSyscallError("ioctl TCGETS "+terminal.Name(), err)
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, os.NewSyscallError("ioctl TCSETS "+terminal.Name(), err)
	}
	return func() { unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}
