package fat

import "fmt"

// bootSectors returns the reserved sectors: boot sector and, for FAT32, the
// free-space sector and the backup of both.
func (fs *FileSystem) bootSectors() []byte {
	b := make([]byte, fs.reserved()*sector)
	boot := b[:sector]
	copy(boot, []byte{0xeb, 0x58, 0x90})
	copy(boot[3:], "MSWIN4.1") // the name that the specification advises
	le.PutUint16(boot[11:], sector)
	boot[13] = byte(fs.cluster)
	le.PutUint16(boot[14:], uint16(fs.reserved()))
	boot[16] = fats
	if fs.sectors < 1<<16 && !fs.fat32 {
		le.PutUint16(boot[19:], uint16(fs.sectors))
	} else {
		le.PutUint32(boot[32:], fs.sectors)
	}
	boot[21] = 0xf8             // fixed medium
	le.PutUint16(boot[24:], 32) // sectors per track, for CHS readers
	le.PutUint16(boot[26:], 64) // heads
	boot[510], boot[511] = 0x55, 0xaa
	if !fs.fat32 {
		le.PutUint16(boot[17:], rootEntries)
		le.PutUint16(boot[22:], uint16(fs.tables))
		fs.label(boot[36:], "FAT16   ")
		return b
	}
	const rootCluster, infoSector, backupSector = 2, 1, 6
	le.PutUint32(boot[36:], fs.tables)
	le.PutUint32(boot[44:], rootCluster)
	le.PutUint16(boot[48:], infoSector)
	le.PutUint16(boot[50:], backupSector)
	fs.label(boot[64:], "FAT32   ")
	info := b[infoSector*sector:][:sector]
	le.PutUint32(info, 0x41615252)
	le.PutUint32(info[484:], 0x61417272)
	le.PutUint32(info[488:], fs.count-fs.used)
	le.PutUint32(info[492:], fs.used+1) // last cluster given away
	info[510], info[511] = 0x55, 0xaa
	copy(b[backupSector*sector:], b[:2*sector])
	return b
}

// label fills the extended boot record: drive number, signature, volume id,
// label and type name.
func (fs *FileSystem) label(b []byte, kind string) {
	b[0], b[2] = 0x80, 0x29
	le.PutUint32(b[3:], fs.opt.VolumeID)
	copy(b[7:], fmt.Sprintf("%-11s%s", fs.opt.Label, kind))
}
