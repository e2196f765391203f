package boot

import "io"

// escapeKey is Ctrl-A, as in QEMU's own console.
const escapeKey = 1

// CopyInput types what comes from in on the machine's console, until in ends,
// the machine ends, or Ctrl-A X comes: then it returns true. Ctrl-A Ctrl-A
// types one Ctrl-A.
func CopyInput(vm *VM, in io.Reader) (quit bool) {
	keys := keyFilter{}
	buffer := make([]byte, 1024)
	for {
		n, err := in.Read(buffer)
		typed, quit := keys.filter(buffer[:n])
		if quit {
			return true
		}
		if len(typed) > 0 && vm.Send(string(typed)) != nil {
			return false
		}
		if err != nil {
			return false
		}
	}
}

// keyFilter takes Ctrl-A sequences out of what a person types; a sequence may
// be cut anywhere.
type keyFilter struct{ escaped bool }

func (k *keyFilter) filter(in []byte) (out []byte, quit bool) {
	for _, b := range in {
		switch {
		case k.escaped && (b == 'x' || b == 'X'):
			return nil, true
		case k.escaped:
			k.escaped = false
			if b != escapeKey {
				out = append(out, escapeKey)
			}
			out = append(out, b)
		case b == escapeKey:
			k.escaped = true
		default:
			out = append(out, b)
		}
	}
	return out, false
}
