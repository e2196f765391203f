package boot

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// What a test guest does after it has printed its text.
type then []byte

var (
	halts  = then{0xfa, 0xf4, 0xeb, 0xfd}       // cli; 1: hlt; jmp 1b
	resets = then{0xea, 0x00, 0x00, 0xff, 0xff} // ljmp $0xffff, $0
	// 1: in 0x3fd; test $1; jz 1b; in 0x3f8; out 0x3f8; jmp 1b
	echoes = then{0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf8, 0xba, 0xf8, 0x03, 0xec, 0xee, 0xeb, 0xf1}
)

// guest makes a disk of one boot sector that prints text on the serial line:
// a machine that boots in a quarter of a second and needs no kernel.
func guest(t testing.TB, text string, end then) string {
	t.Helper()
	code := []byte{
		0x31, 0xc0, // xor %ax, %ax
		0x8e, 0xd8, // mov %ax, %ds
		0xbe, 0x00, 0x00, // mov $text, %si
		0xac,       // 1: lodsb
		0x84, 0xc0, // test %al, %al
		0x74, 0x0e, // jz 3f
		0x88, 0xc4, // mov %al, %ah
		0xba, 0xfd, 0x03, // mov $0x3fd, %dx
		0xec,       // 2: in %dx, %al
		0xa8, 0x20, // test $0x20, %al
		0x74, 0xfb, // jz 2b
		0xb2, 0xf8, // mov $0xf8, %dl
		0x88, 0xe0, // mov %ah, %al
		0xee,       // out %al, %dx
		0xeb, 0xeb, // jmp 1b
	}
	// jz 3f and jmp 1b are counted from here.
	code[11] = byte(len(code) - 12)
	code[len(code)-1] = byte(7 - len(code))
	code = append(code, end...)
	binary.LittleEndian.PutUint16(code[5:], 0x7c00+uint16(len(code)))
	code = append(append(code, text...), 0)
	if len(code) > 510 {
		t.Fatalf("the guest's text is %d bytes too long", len(code)-510)
	}
	sector := make([]byte, 512)
	copy(sector, code)
	sector[510], sector[511] = 0x55, 0xaa
	path := filepath.Join(t.TempDir(), "guest.img")
	if err := os.WriteFile(path, append(sector, make([]byte, 1<<20-512)...), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
