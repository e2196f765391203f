package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// Object says everything about a regular file but its name and time.
//
// An ordinary user gives his own UID and GID and leaves out the attributes he
// cannot set (security.*, trusted.*): what stands here is what is on disk.
type Object struct {
	SHA256 string // of the content, 64 hexadecimal digits
	Size   int64  // in bytes; follows from the content, so not part of the key
	Mode   uint32 // permission, setuid, setgid and sticky bits
	UID    uint32
	GID    uint32
	Xattrs map[string][]byte
	Time   int64 // seconds since 1970, for the empty files that Link creates; not part of the key
}

// Key names an object.
type Key [sha256.Size]byte

// String is the key in hexadecimal.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// keyDomain keeps keys apart from hashes of anything else.
const keyDomain = "ashlar object 1\n"

// Key is the SHA-256 of "ashlar object 1\n", the 32 bytes of the content's
// SHA-256, mode, uid, gid, the number of attributes, and for each attribute, in
// ascending order of names, the length of its name, its name, the length of its
// value, its value. Numbers are 32 bits, little-endian.
func (o *Object) Key() Key {
	b := make([]byte, 0, 256)
	b = append(b, keyDomain...)
	b, err := hex.AppendDecode(b, []byte(o.SHA256))
	if err != nil || len(b) != len(keyDomain)+sha256.Size {
		// Nothing can be stored under it, because no content has this hash.
		b = append(append(b[:0], keyDomain...), o.SHA256...)
	}
	for _, n := range []uint32{o.Mode, o.UID, o.GID, uint32(len(o.Xattrs))} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	if len(o.Xattrs) > 0 {
		for _, name := range slices.Sorted(maps.Keys(o.Xattrs)) {
			value := o.Xattrs[name]
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(name))), name...)
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(value))), value...)
		}
	}
	return sha256.Sum256(b)
}

// misfit says in what a file differs from the object as far as its inode tells,
// or "".
func (o *Object) misfit(st *unix.Stat_t) string {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return "is not a regular file"
	case st.Size != o.Size:
		return fmt.Sprintf("has %d bytes instead of %d", st.Size, o.Size)
	case st.Mode&0o7777 != o.Mode:
		return fmt.Sprintf("has mode %04o instead of %04o", st.Mode&0o7777, o.Mode)
	case st.Uid != o.UID || st.Gid != o.GID:
		return fmt.Sprintf("belongs to %d:%d instead of %d:%d", st.Uid, st.Gid, o.UID, o.GID)
	}
	return ""
}

// path is where the object lies below the store's folder: 256 folders, so that
// none is big and two writers seldom wait for the same one.
func (k Key) path() string {
	var b [2*sha256.Size + 1]byte
	hex.Encode(b[:2], k[:1])
	b[2] = '/'
	hex.Encode(b[3:], k[1:])
	return string(b[:])
}

func (k Key) folder() string { return hex.EncodeToString(k[:1]) }
