package netboot

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Ports of DHCP (RFC 2131) and of a PXE boot server (PXE 2.1).
const (
	dhcpPort = 67
	pxePort  = 4011
)

// The kinds of firmware that we know how to serve.
const (
	firmwareIPXE = "ipxe"
	firmwareHTTP = "uefi-http"
	firmwareUEFI = "uefi-pxe"
	firmwareBIOS = "bios-pxe"
)

// firmwareOf says what a client is, and "" for one that wants nothing of us.
func firmwareOf(m *dhcpv4.DHCPv4) string {
	class := m.ClassIdentifier()
	arch := m.ClientArch()
	is := func(a ...iana.Arch) bool {
		return slices.ContainsFunc(arch, func(one iana.Arch) bool { return slices.Contains(a, one) })
	}
	switch {
	case strings.HasPrefix(class, "HTTPClient") && is(iana.EFI_X86_64_HTTP):
		return firmwareHTTP
	case !strings.HasPrefix(class, "PXEClient"):
		return ""
	case isIPXE(m) && (len(arch) == 0 || is(iana.INTEL_X86PC, iana.EFI_X86_64, iana.EFI_BC)):
		return firmwareIPXE
	case is(iana.EFI_X86_64, iana.EFI_BC):
		return firmwareUEFI
	case is(iana.INTEL_X86PC):
		return firmwareBIOS
	}
	return ""
}

// isIPXE recognizes iPXE by its user class, which it sends unstructured.
func isIPXE(m *dhcpv4.DHCPv4) bool {
	for _, class := range m.UserClass() {
		if class == "iPXE" {
			return true
		}
	}
	return string(m.Options.Get(dhcpv4.OptionUserClassInformation)) == "iPXE"
}

// machineUUID returns the SMBIOS UUID that a client sends (RFC 4578), or "".
// Its first three fields are in the byte order of a PC.
func machineUUID(m *dhcpv4.DHCPv4) string {
	b := m.Options.Get(dhcpv4.OptionClientMachineIdentifier)
	if len(b) != 17 || b[0] != 0 {
		return ""
	}
	b = append([]byte(nil), b[1:]...)
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5] = b[5], b[4]
	b[6], b[7] = b[7], b[6]
	u, err := uuid.FromBytes(b)
	if err != nil {
		return ""
	}
	return u.String()
}

// bootFile is what a firmware starts from: a path for TFTP or a URL.
func (s *server) bootFile(firmware, mac string) string {
	folder := "m/" + strings.ReplaceAll(mac, ":", "-") + "/"
	switch firmware {
	case firmwareIPXE:
		return s.url() + folder + "boot.ipxe"
	case firmwareHTTP:
		return s.url() + folder + loaderEFI
	case firmwareUEFI:
		return folder + loaderEFI
	}
	return folder + loaderBIOS
}

// serves says whether the image has what a firmware needs.
func (s *server) serves(firmware string) bool {
	switch firmware {
	case firmwareHTTP, firmwareUEFI:
		return s.image.Has(loaderEFI)
	case firmwareBIOS:
		return s.image.Has(loaderBIOS)
	}
	return firmware != ""
}

// bypassDiscovery is option 43 of PXE: take the file named here, ask nobody else.
var bypassDiscovery = []byte{6, 1, 8, 255}

// answer returns what a client is told, or nil for nothing. port is where its
// message came in.
func (s *server) answer(m *dhcpv4.DHCPv4, port int) (*dhcpv4.DHCPv4, error) {
	if m.OpCode != dhcpv4.OpcodeBootRequest || m.HWType != iana.HWTypeEthernet || len(m.ClientHWAddr) != 6 {
		return nil, nil
	}
	kind := dhcpv4.MessageTypeOffer
	switch {
	case port == dhcpPort && m.MessageType() == dhcpv4.MessageTypeDiscover:
	case port == pxePort && m.MessageType() == dhcpv4.MessageTypeRequest:
		kind = dhcpv4.MessageTypeAck
	default:
		return nil, nil
	}
	firmware := firmwareOf(m)
	if !s.serves(firmware) {
		return nil, nil
	}
	mac := m.ClientHWAddr.String()
	if !s.discovered(mac, machineUUID(m), firmware) {
		return nil, nil
	}
	reply, err := dhcpv4.NewReplyFromRequest(m,
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithServerIP(s.address),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(s.address)),
	)
	if err != nil {
		return nil, fmt.Errorf("answer %s: %w", mac, err)
	}
	file := s.bootFile(firmware, mac)
	reply.ServerHostName, reply.BootFileName = s.address.String(), file
	reply.UpdateOption(dhcpv4.OptBootFileName(file))
	if id := m.Options.Get(dhcpv4.OptionClientMachineIdentifier); id != nil {
		reply.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClientMachineIdentifier, id))
	}
	if firmware == firmwareHTTP {
		reply.UpdateOption(dhcpv4.OptClassIdentifier("HTTPClient"))
		return reply, nil
	}
	reply.UpdateOption(dhcpv4.OptClassIdentifier("PXEClient"))
	reply.UpdateOption(dhcpv4.OptTFTPServerName(s.address.String()))
	reply.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionVendorSpecificInformation, bypassDiscovery))
	return reply, nil
}

// handler answers what comes in at a port. An answer goes where the client can
// hear it: to a relay, to its address, or to everybody.
func (s *server) handler(port int) func(net.PacketConn, net.Addr, *dhcpv4.DHCPv4) {
	return func(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
		reply, err := s.answer(m, port)
		if err != nil {
			s.say("%v", err)
		}
		if reply == nil {
			return
		}
		to := peer
		if port == dhcpPort {
			to = &net.UDPAddr{IP: net.IPv4bcast, Port: 68}
			if relay := m.GatewayIPAddr; relay != nil && !relay.IsUnspecified() {
				to = &net.UDPAddr{IP: relay, Port: dhcpPort}
			}
		}
		if _, err := conn.WriteTo(reply.ToBytes(), to); err != nil {
			s.say("answer %s: %v", m.ClientHWAddr, err)
		}
	}
}
