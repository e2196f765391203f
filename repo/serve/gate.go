package serve

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// gate counts connections and turns away those beyond the limits. A client
// that is refused at once can go to another mirror; one that waits cannot.
type gate struct {
	max, perAddress int

	open atomic.Int64 // written under mu

	mu     sync.Mutex
	places map[netip.Prefix]int
}

// place is whom a connection is counted for: an IPv4 address, or the /64 that
// one customer has of IPv6. Others, as of Unix sockets, are not told apart.
func place(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap()
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.WithZone("").Prefix(bits)
	return p
}

func (g *gate) enter(p netip.Prefix) (limit, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open.Load() >= int64(g.max) {
		return limitConnections, false
	}
	if p.IsValid() && g.places[p] >= g.perAddress {
		return limitPerAddress, false
	}
	if g.places == nil {
		g.places = map[netip.Prefix]int{}
	}
	g.open.Add(1)
	g.places[p]++
	return 0, true
}

func (g *gate) leave(p netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open.Add(-1)
	if g.places[p]--; g.places[p] <= 0 {
		delete(g.places, p)
	}
}

// crowded reports whether connections should not be kept for later.
func (g *gate) crowded() bool { return g.open.Load() > int64(g.max-g.max/4) }

// guarded is a listener behind the gate.
type guarded struct {
	net.Listener
	server *Server
}

func (l *guarded) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p := place(c.RemoteAddr())
		if limit, ok := l.server.gate.enter(p); !ok {
			l.server.Metrics.limited(limit)
			c.Close()
			continue
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			return &tcpConn{tcp, counted{gate: &l.server.gate, place: p}}, nil
		}
		return &otherConn{c, counted{gate: &l.server.gate, place: p}}, nil
	}
}

// counted is what a connection has to remember.
type counted struct {
	gate     *gate
	place    netip.Prefix
	closed   atomic.Bool
	requests atomic.Int32
}

func (c *counted) leave() {
	if !c.closed.Swap(true) {
		c.gate.leave(c.place)
	}
}

func (c *counted) count() *counted { return c }

// tcpConn keeps TCPConn's ReadFrom, which is sendfile.
type tcpConn struct {
	*net.TCPConn
	counted
}

func (c *tcpConn) Close() error { c.leave(); return c.TCPConn.Close() }

type otherConn struct {
	net.Conn
	counted
}

func (c *otherConn) Close() error { c.leave(); return c.Conn.Close() }

type connKey struct{}

// connContext puts what is known of a connection where requests find it.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	if known, ok := c.(interface{ count() *counted }); ok {
		return context.WithValue(ctx, connKey{}, known.count())
	}
	return ctx
}

// lastOf counts a request and reports whether the connection should end with it.
func (s *Server) lastOf(req *http.Request) bool {
	c, ok := req.Context().Value(connKey{}).(*counted)
	if !ok {
		return false
	}
	return int(c.requests.Add(1)) >= s.Limits.Requests || s.gate.crowded()
}
