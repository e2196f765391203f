package boot

import (
	"encoding/hex"
	"strings"
)

// probeExit is QEMU's exit code when the probe's guest has written 0x2a to
// the debug port: (value << 1) | 1.
const probeExit = 0x2a<<1 | 1

// probeCode is probe.asm, assembled; a test assembles it again and compares.
const probeCode = `
fa31c08ed88ec08ed0bc007cbf0010b90018fcf3abc70600100320c706002003
30c706003083000f20e06683c8200f22e066b8001000000f22d866b9800000c0
0f32660d000100000f300f0116b07c0f20c0660d010000800f22c0ea607c0800
b8100000008ed88ec08ed0bf00000100b9e803000048890ccfe2fab9e8030000
31c0480304cfe2fa3d14a307007504b02ae6f4f4ebfd66900000000000000000
00000000009a200000000000009200001700987c`

// probeSector is the boot sector of the probe's guest.
func probeSector() []byte {
	code, err := hex.DecodeString(strings.ReplaceAll(probeCode, "\n", ""))
	if err != nil {
		panic(err) // a constant
	}
	sector := make([]byte, 512)
	copy(sector, code)
	sector[510], sector[511] = 0x55, 0xaa
	return sector
}
