package iso9660

import (
	"math"
)

const (
	elTorito       = "EL TORITO SPECIFICATION"
	maxBootEntries = 31 // what one sector of catalog holds
	catalogEntry   = 32
	bootable       = 0x88
	sectionHead    = 0x90
	lastSection    = 0x91
)

// bootRecord is the descriptor that leads to the boot catalog.
func (m *Image) bootRecord() []byte {
	if len(m.opt.Boot) == 0 {
		return terminator() // the second one, at its usual place, is then never read
	}
	b := append([]byte{0}, "CD001\x01"...)
	b = append(b, elTorito...)
	b = append(b, make([]byte, 71-len(b))...)
	return pad(le.AppendUint32(b, catalogSector))
}

// catalog lists the boot images: the validation entry and the first image, then
// a section of its own for every other one.
func (m *Image) catalog() []byte {
	if len(m.opt.Boot) == 0 {
		return pad(make([]byte, SectorSize))
	}
	validation := make([]byte, catalogEntry)
	validation[0], validation[1] = 1, byte(m.opt.Boot[0].Platform)
	validation[30], validation[31] = 0x55, 0xaa
	var sum uint16
	for i := 0; i < catalogEntry; i += 2 {
		sum += le.Uint16(validation[i:])
	}
	le.PutUint16(validation[28:], -sum)
	b := validation
	for i, boot := range m.opt.Boot {
		if i > 0 {
			head := make([]byte, catalogEntry)
			head[0], head[1], head[2] = sectionHead, byte(boot.Platform), 1
			if i == len(m.opt.Boot)-1 {
				head[0] = lastSection
			}
			b = append(b, head...)
		}
		image := m.byPath[boot.Path]
		count := uint64(boot.LoadSectors)
		if count == 0 {
			count = uint64(image.Size+511) / 512
		}
		if count > math.MaxUint16 { // does not fit: 0 makes the firmware read to the end
			count = 0
		}
		entry := make([]byte, catalogEntry)
		entry[0] = bootable
		le.PutUint16(entry[6:], uint16(count))
		le.PutUint32(entry[8:], image.sector)
		b = append(b, entry...)
	}
	return pad(b)
}

// patch writes the boot info table (as specified by mkisofs -boot-info-table)
// and whatever else the boot entry asks for.
func (r *record) patch(b []byte) error {
	if r.boot.BootInfoTable {
		var sum uint32
		for i := 64; i+4 <= len(b); i += 4 {
			sum += le.Uint32(b[i:])
		}
		if rest := len(b) % 4; rest > 0 {
			var word [4]byte
			copy(word[:], b[len(b)-rest:])
			sum += le.Uint32(word[:])
		}
		clear(b[8:64])
		le.PutUint32(b[8:], volumeSector)
		le.PutUint32(b[12:], r.sector)
		le.PutUint32(b[16:], uint32(len(b)))
		le.PutUint32(b[20:], sum)
	}
	if r.boot.Patch != nil {
		return r.boot.Patch(b, r.sector)
	}
	return nil
}
