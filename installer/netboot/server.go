package netboot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"ashlar/pkgtool/fault"

	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/pin/tftp/v3"
)

// Options of [Serve].
type Options struct {
	Image      string       // path of an image of the format netboot
	Machines   string       // path of the list; "" starts the image on every machine that asks
	Interface  string       // network card to serve; "" is the only one with an IPv4 address
	Port       int          // of HTTP; 0 is 80, the only one that GRUB speaks HTTP to
	State      string       // file that remembers what was installed; "" forgets at the end
	Repository http.Handler // answers below /repository/; may be nil

	Ready   func(url string)                 // called once all is listening; may be nil
	Changed func(Status)                     // called when a machine goes on; may be nil
	Say     func(format string, args ...any) // messages for a person; may be nil
}

// server is a Serve under way.
type server struct {
	image    *Image
	registry *registry
	address  net.IP
	port     int
	options  Options
	say      func(format string, args ...any)

	mu     sync.Mutex
	list   *Machines
	listed time.Time // when the list was changed
}

func (s *server) url() string {
	host := s.address.String()
	if s.port != httpPort {
		host = net.JoinHostPort(host, strconv.Itoa(s.port))
	}
	return "http://" + host + "/"
}

// Serve serves until ctx is done. It needs the rights to listen at ports below
// 1024 and to answer broadcasts: root, or CAP_NET_BIND_SERVICE and CAP_NET_RAW.
// The list is read again when it changes; a list that became wrong is reported,
// and the old one stays.
func Serve(ctx context.Context, o Options) (err error) {
	s := &server{options: o, port: o.Port, say: o.Say}
	if s.port == 0 {
		s.port = httpPort
	}
	if s.say == nil {
		s.say = func(string, ...any) {}
	}
	if s.image, err = OpenImage(o.Image); err != nil {
		return err
	}
	defer s.image.Close()
	if err := s.readList(); err != nil {
		return err
	}
	if s.registry, err = openRegistry(o.State, o.Changed); err != nil {
		return err
	}
	card, address, err := findInterface(o.Interface)
	if err != nil {
		return err
	}
	s.address = address
	return s.listen(ctx, card)
}

// readList reads the list of machines for the first time.
func (s *server) readList() error {
	if s.options.Machines == "" {
		s.list = &Machines{Version: MachinesVersion, Unknown: "boot"}
		return nil
	}
	info, err := os.Stat(s.options.Machines)
	if err != nil {
		return err
	}
	s.listed = info.ModTime()
	s.list, err = ReadMachines(s.options.Machines)
	return err
}

// machines returns the list as it is now.
func (s *server) machines() *Machines {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Machines == "" {
		return s.list
	}
	info, err := os.Stat(s.options.Machines)
	if err != nil || info.ModTime().Equal(s.listed) {
		return s.list
	}
	s.listed = info.ModTime()
	list, err := ReadMachines(s.options.Machines)
	if err != nil {
		s.say("the list of machines changed and is wrong, the old one stays: %v", err)
		return s.list
	}
	s.say("read %s again: %d machines", s.options.Machines, len(list.Machines))
	s.list = list
	return list
}

// discovered notes a machine that asks what to start, and says whether it is
// told.
func (s *server) discovered(mac, machine, firmware string) bool {
	st, ok := s.registry.update(mac, func(st *Status) {
		if machine != "" {
			st.UUID = machine
		}
		st.Firmware = firmware
	})
	if !ok {
		return false
	}
	entry, start := s.machines().decide(st, false)
	phase := Discovered
	if !start {
		phase = Local
	}
	s.name(mac, entry, phase)
	return start
}

// findInterface returns the card to serve and its IPv4 address.
func findInterface(name string) (string, net.IP, error) {
	cards, err := net.Interfaces()
	if err != nil {
		return "", nil, fmt.Errorf("list the network cards: %w", err)
	}
	var fits []string
	var address net.IP
	for _, card := range cards {
		if card.Flags&net.FlagLoopback != 0 || card.Flags&net.FlagUp == 0 || name != "" && card.Name != name {
			continue
		}
		addresses, err := card.Addrs()
		if err != nil {
			return "", nil, err
		}
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
				fits, address = append(fits, card.Name), n.IP.To4()
				break
			}
		}
	}
	switch {
	case len(fits) == 1:
		return fits[0], address, nil
	case name != "":
		return "", nil, fault.Errorf(fault.Usage, "network card %s is not there, not up, or has no IPv4 address", name)
	case len(fits) == 0:
		return "", nil, fault.Errorf(fault.Usage, "no network card is up and has an IPv4 address")
	}
	return "", nil, fault.Mark(fmt.Errorf("%d network cards could be served: %v", len(fits), fits), fault.Usage, "choose one with --interface")
}

// listen opens everything before it serves anything.
func (s *server) listen(ctx context.Context, card string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	defer running.Wait()
	run := func(what string, serve func() error) {
		running.Go(func() {
			if err := serve(); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	for _, port := range []int{dhcpPort, pxePort} {
		at := &net.UDPAddr{IP: net.IPv4zero, Port: port}
		conn, err := server4.NewIPv4UDPConn(card, at)
		if err != nil {
			return notListening("DHCP", card, port, err)
		}
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		defer conn.Close()
		dhcp, err := server4.NewServer(card, at, s.handler(port), server4.WithConn(conn))
		if err != nil {
			return err
		}
		run("DHCP", dhcp.Serve)
	}
	files, err := net.ListenUDP("udp4", &net.UDPAddr{IP: s.address, Port: 69})
	if err != nil {
		return notListening("TFTP", s.address.String(), 69, err)
	}
	defer files.Close()
	trivial := tftp.NewServer(s.serveTFTP, nil)
	trivial.SetTimeout(3 * time.Second)
	trivial.SetRetries(5)
	defer context.AfterFunc(ctx, trivial.Shutdown)()
	run("TFTP", func() error { return trivial.Serve(files) })

	web, err := net.Listen("tcp4", net.JoinHostPort(s.address.String(), strconv.Itoa(s.port)))
	if err != nil {
		return notListening("HTTP", s.address.String(), s.port, err)
	}
	defer web.Close()
	server := s.web()
	defer context.AfterFunc(ctx, func() { server.Close() })()
	run("HTTP", func() error { return server.Serve(web) })

	if s.options.Ready != nil {
		s.options.Ready(s.url())
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return fault.Mark(err, fault.Network, "")
	}
	return nil
}

func notListening(what, where string, port int, err error) error {
	hint := "see what listens there: ss -lunp, ss -ltnp"
	if errors.Is(err, os.ErrPermission) {
		hint = "run it as root, or give it CAP_NET_BIND_SERVICE and CAP_NET_RAW"
	}
	return fault.Mark(fmt.Errorf("listen for %s at %s port %d: %w", what, where, port, err), fault.Network, hint)
}
