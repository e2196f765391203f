package installer

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Interface is one network interface of the installed machine: a card, or a VLAN
// or a bond of others. Files of systemd-networkd are made of it.
type Interface struct {
	Name      string   `yaml:"name" jsonschema:"required" jsonschema_description:"of a card, what it is called here; of a VLAN or a bond, the name of the interface"`
	MAC       string   `yaml:"mac,omitempty" jsonschema_description:"of a card: its hardware address"`
	Match     string   `yaml:"match,omitempty" jsonschema_description:"of a card: its name as the kernel or udev gives it, * and ? are wildcards; default: name"`
	VLAN      *VLAN    `yaml:"vlan,omitempty" jsonschema_description:"makes this a VLAN (802.1Q)"`
	Bond      *Bond    `yaml:"bond,omitempty" jsonschema_description:"makes this a bond"`
	DHCP      string   `yaml:"dhcp,omitempty" jsonschema:"enum=no,enum=yes,enum=ipv4,enum=ipv6" jsonschema_description:"default: yes without addresses, no with them and for members of a bond"`
	Addresses []string `yaml:"addresses,omitempty" jsonschema_description:"with the length of the network's prefix, as 192.0.2.5/24"`
	Gateways  []string `yaml:"gateways,omitempty" jsonschema_description:"of the default routes, one of IPv4 and one of IPv6 at most"`
	DNS       []string `yaml:"dns,omitempty" jsonschema_description:"addresses of name servers"`
	Domains   []string `yaml:"domains,omitempty" jsonschema_description:"domains that are searched"`
	MTU       int      `yaml:"mtu,omitempty" jsonschema_description:"bytes, 576 to 65535; default: the card's own"`
}

// VLAN is one virtual network on another interface.
type VLAN struct {
	ID int    `yaml:"id" jsonschema:"required" jsonschema_description:"1 to 4094"`
	On string `yaml:"on" jsonschema:"required" jsonschema_description:"name of the interface below, one of this list"`
}

// Bond joins cards into one.
type Bond struct {
	Mode    string   `yaml:"mode,omitempty" jsonschema:"enum=active-backup,enum=802.3ad,enum=balance-rr,enum=balance-xor,enum=broadcast,enum=balance-tlb,enum=balance-alb" jsonschema_description:"default: active-backup, which needs nothing of the switch"`
	Members []string `yaml:"members" jsonschema:"required" jsonschema_description:"names of cards of this list"`
}

var (
	interfaceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,14}$`) // 15 bytes is what the kernel takes
	interfaceGlob = regexp.MustCompile(`^[A-Za-z0-9_.*?-]{1,60}$`)
	bondModes     = []string{"active-backup", "802.3ad", "balance-rr", "balance-xor", "broadcast", "balance-tlb", "balance-alb"}
)

// validateNetwork checks each interface and how they stand on each other.
func validateNetwork(list []Interface, bad func(format string, args ...any)) {
	byName := map[string]*Interface{}
	for i := range list {
		at := fmt.Sprintf("network[%d]", i)
		if !interfaceName.MatchString(list[i].Name) {
			bad("%s.name %q is not of 1 to 15 lower-case letters, digits, dots, dashes and underscores", at, list[i].Name)
			continue
		}
		if byName[list[i].Name] != nil {
			bad("%s.name %s stands twice", at, list[i].Name)
		}
		byName[list[i].Name] = &list[i]
	}
	bondOf := map[string]string{}
	for _, n := range list {
		bad := func(format string, args ...any) { bad("network: %s: "+format, append([]any{n.Name}, args...)...) }
		if v := n.VLAN; v != nil {
			if v.ID < 1 || v.ID > 4094 {
				bad("vlan.id %d is not from 1 to 4094", v.ID)
			}
			if below := byName[v.On]; below == nil || below.VLAN != nil {
				bad("vlan.on %q is not a card or a bond of the list", v.On)
			}
		}
		if b := n.Bond; b != nil {
			if b.Mode != "" && !slices.Contains(bondModes, b.Mode) {
				bad("bond.mode %q is not known; known: %s", b.Mode, strings.Join(bondModes, ", "))
			}
			if len(b.Members) == 0 {
				bad("bond.members is empty")
			}
			for _, m := range b.Members {
				member := byName[m]
				switch {
				case member == nil || member.VLAN != nil || member.Bond != nil:
					bad("bond.members: %q is not a card of the list", m)
				case bondOf[m] != "":
					bad("bond.members: %s is a member of %s already", m, bondOf[m])
				case len(member.Addresses)+len(member.Gateways)+len(member.DNS) > 0 || member.DHCP != "" && member.DHCP != "no":
					bad("bond.members: %s has addresses of its own; give them to the bond", m)
				}
				bondOf[m] = n.Name
			}
		}
		n.validate(bad)
	}
}

func (n *Interface) validate(bad func(format string, args ...any)) {
	switch virtual := n.VLAN != nil || n.Bond != nil; {
	case n.VLAN != nil && n.Bond != nil:
		bad("it is a vlan and a bond; give one of them")
	case virtual && (n.MAC != "" || n.Match != ""):
		bad("mac and match are for cards")
	case n.MAC != "" && n.Match != "":
		bad("mac and match are given; give one of them")
	}
	if hw, err := net.ParseMAC(n.MAC); n.MAC != "" && (err != nil || len(hw) != 6) {
		bad("mac %q is not a hardware address, as 52:54:00:12:34:56", n.MAC)
	}
	if n.Match != "" && !interfaceGlob.MatchString(n.Match) {
		bad("match %q is not a name of a card, nor a pattern of names", n.Match)
	}
	if !slices.Contains([]string{"", "no", "yes", "ipv4", "ipv6"}, n.DHCP) {
		bad("dhcp %q is not known; known: no, yes, ipv4, ipv6", n.DHCP)
	}
	for _, a := range n.Addresses {
		if _, err := netip.ParsePrefix(a); err != nil {
			bad("address %q is not an address with the length of its prefix, as 192.0.2.5/24", a)
		}
	}
	for what, list := range map[string][]string{"gateway": n.Gateways, "dns": n.DNS} {
		for _, a := range list {
			if ip, err := netip.ParseAddr(a); err != nil || ip.Zone() != "" {
				bad("%s %q is not an address", what, a)
			}
		}
	}
	for i, a := range n.Gateways {
		if ip, err := netip.ParseAddr(a); err == nil && !n.reaches(ip) {
			bad("gateway %s is in none of the networks of its addresses", a)
		} else if slices.ContainsFunc(n.Gateways[:i], func(b string) bool { return strings.Contains(a, ":") == strings.Contains(b, ":") }) {
			bad("gateway %s is the second of its kind", a)
		}
	}
	for _, d := range n.Domains {
		if !hostname.MatchString(d) {
			bad("domain %q is not a domain", d)
		}
	}
	if n.MTU != 0 && (n.MTU < 576 || n.MTU > 65535) {
		bad("mtu %d is not from 576 to 65535", n.MTU)
	}
}

// reaches says whether a gateway is on the link; IPv6 ones may be link-local.
func (n *Interface) reaches(gateway netip.Addr) bool {
	return gateway.IsLinkLocalUnicast() || slices.ContainsFunc(n.Addresses, func(a string) bool {
		p, err := netip.ParsePrefix(a)
		return err == nil && p.Contains(gateway)
	})
}

// networkFiles returns the files of systemd.network(5) and systemd.netdev(5), by
// path. They come before what packages have.
func networkFiles(list []Interface) map[string]string {
	files := map[string]string{}
	bondOf, vlansOn := map[string]string{}, map[string][]string{}
	for _, n := range list {
		if n.VLAN != nil {
			vlansOn[n.VLAN.On] = append(vlansOn[n.VLAN.On], n.Name)
		}
		if n.Bond != nil {
			for _, m := range n.Bond.Members {
				bondOf[m] = n.Name
			}
		}
	}
	const header = "# Written by the installer.\n"
	for _, n := range list {
		path := "etc/systemd/network/10-" + n.Name
		switch {
		case n.VLAN != nil:
			files[path+".netdev"] = fmt.Sprintf("%s[NetDev]\nName=%s\nKind=vlan\n\n[VLAN]\nId=%d\n", header, n.Name, n.VLAN.ID)
		case n.Bond != nil:
			mode := n.Bond.Mode
			if mode == "" {
				mode = bondModes[0]
			}
			files[path+".netdev"] = fmt.Sprintf("%s[NetDev]\nName=%s\nKind=bond\n\n[Bond]\nMode=%s\nMIIMonitorSec=100ms\n", header, n.Name, mode)
		}
		files[path+".network"] = header + n.file(bondOf[n.Name], vlansOn[n.Name])
	}
	return files
}

func (n *Interface) file(bond string, vlans []string) string {
	var b strings.Builder
	lines := func(key string, values ...string) {
		for _, v := range values {
			if v != "" {
				fmt.Fprintf(&b, "%s=%s\n", key, v)
			}
		}
	}
	b.WriteString("[Match]\n")
	switch {
	case n.MAC != "":
		// A VLAN or bond on the card has its address too.
		lines("MACAddress", n.MAC)
		lines("Kind", "!*")
	case n.Match != "":
		lines("Name", n.Match)
	default:
		lines("Name", n.Name)
	}
	if n.MTU != 0 {
		fmt.Fprintf(&b, "\n[Link]\nMTUBytes=%d\n", n.MTU)
	}
	b.WriteString("\n[Network]\n")
	if bond != "" {
		lines("Bond", bond)
		return b.String()
	}
	switch {
	case n.DHCP != "":
		lines("DHCP", n.DHCP)
	case len(n.Addresses) == 0 && len(vlans) == 0:
		lines("DHCP", "yes")
	}
	lines("Address", n.Addresses...)
	lines("Gateway", n.Gateways...)
	lines("DNS", n.DNS...)
	lines("Domains", strings.Join(n.Domains, " "))
	lines("VLAN", vlans...)
	return b.String()
}
