package main

import (
	"fmt"
	"slices"
	"strings"

	"maps"

	"github.com/goccy/go-yaml"
)

// netConfig is network-config of version 2, of which this program knows
// ethernets.
type netConfig struct {
	Network   *netConfig          `yaml:"network"`
	Version   int                 `yaml:"version"`
	Ethernets map[string]ethernet `yaml:"ethernets"`
}

type ethernet struct {
	Match struct {
		MAC  string `yaml:"macaddress"`
		Name string `yaml:"name"`
	} `yaml:"match"`
	DHCP4       bool     `yaml:"dhcp4"`
	DHCP6       bool     `yaml:"dhcp6"`
	Addresses   []string `yaml:"addresses"`
	Gateway4    string   `yaml:"gateway4"`
	Gateway6    string   `yaml:"gateway6"`
	Nameservers struct {
		Addresses []string `yaml:"addresses"`
		Search    []string `yaml:"search"`
	} `yaml:"nameservers"`
}

// setNetwork writes a file of systemd-networkd for each network card. They come
// before what packages have.
func (s *setup) setNetwork(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var c netConfig
	if err := yaml.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("network-config: %w", err)
	}
	if c.Network != nil {
		c = *c.Network
	}
	if c.Version != 2 {
		return fmt.Errorf("network-config has version %d; this program reads 2", c.Version)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Ethernets)) {
		unit, err := c.Ethernets[name].unit(name)
		if err != nil {
			return fmt.Errorf("network-config: %s: %w", name, err)
		}
		if err := s.write("etc/systemd/network/10-cloud-"+name+".network", []byte(unit), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// unit returns the file of systemd.network(5) for a card.
func (e ethernet) unit(name string) (string, error) {
	all := slices.Concat([]string{name, e.Match.MAC, e.Match.Name, e.Gateway4, e.Gateway6}, e.Addresses, e.Nameservers.Addresses, e.Nameservers.Search)
	if slices.ContainsFunc(all, func(v string) bool { return strings.ContainsAny(v, "\n ") }) || strings.ContainsAny(name, "/") {
		return "", fmt.Errorf("a value has a line break, a space or a slash")
	}
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s=%s\n", key, value)
		}
	}
	b.WriteString("# Written by ashlar-firstboot from network-config.\n[Match]\n")
	switch {
	case e.Match.MAC != "":
		line("MACAddress", e.Match.MAC)
	case e.Match.Name != "":
		line("Name", e.Match.Name)
	default:
		line("Name", name)
	}
	b.WriteString("\n[Network]\n")
	switch {
	case e.DHCP4 && e.DHCP6:
		line("DHCP", "yes")
	case e.DHCP4:
		line("DHCP", "ipv4")
	case e.DHCP6:
		line("DHCP", "ipv6")
	}
	for _, a := range e.Addresses {
		line("Address", a)
	}
	line("Gateway", e.Gateway4)
	line("Gateway", e.Gateway6)
	for _, a := range e.Nameservers.Addresses {
		line("DNS", a)
	}
	line("Domains", strings.Join(e.Nameservers.Search, " "))
	return b.String(), nil
}
