package recipe

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// capabilities are the names of Linux' capabilities by number
// (include/uapi/linux/capability.h).
var capabilities = []string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
	"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
	"sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease",
	"audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
	"perfmon", "bpf", "checkpoint_restore",
}

// CapabilityAttribute is the extended attribute that holds a file's
// capabilities.
const CapabilityAttribute = "security.capability"

// ParseCaps turns capabilities as setcap(8) takes them, such as
// "cap_net_raw,cap_net_admin=ep" or "cap_net_raw+ep cap_chown+i", into the
// value of [CapabilityAttribute] (struct vfs_cap_data, revision 2). The
// effective flag holds for all of a file's capabilities or for none.
func ParseCaps(text string) ([]byte, error) {
	var permitted, inheritable, effective uint64
	clauses := strings.Fields(text)
	if len(clauses) == 0 {
		return nil, fmt.Errorf("no capabilities; write such as cap_net_raw+ep")
	}
	for _, clause := range clauses {
		at := strings.IndexAny(clause, "=+")
		if at < 0 {
			return nil, fmt.Errorf("%q has no flags; write such as cap_net_raw+ep", clause)
		}
		var set uint64
		for _, name := range strings.Split(clause[:at], ",") {
			short, ok := strings.CutPrefix(strings.ToLower(name), "cap_")
			number := slices.Index(capabilities, short)
			if !ok || number < 0 {
				return nil, fmt.Errorf("%q is no capability of Linux, such as cap_net_raw", name)
			}
			set |= 1 << number
		}
		if clause[at+1:] == "" || strings.Trim(clause[at+1:], "eip") != "" {
			return nil, fmt.Errorf("%q: the flags are e, i and p", clause)
		}
		for _, flag := range clause[at+1:] {
			switch flag {
			case 'e':
				effective |= set
			case 'i':
				inheritable |= set
			case 'p':
				permitted |= set
			}
		}
	}
	if effective != 0 && effective != permitted|inheritable {
		return nil, fmt.Errorf("%q: a file's capabilities are effective all together or not at all", text)
	}
	const revision2, flagEffective = 0x02000000, 1
	magic := uint32(revision2)
	if effective != 0 {
		magic |= flagEffective
	}
	var value []byte
	for _, word := range []uint32{magic, uint32(permitted), uint32(inheritable), uint32(permitted >> 32), uint32(inheritable >> 32)} {
		value = binary.LittleEndian.AppendUint32(value, word)
	}
	return value, nil
}
