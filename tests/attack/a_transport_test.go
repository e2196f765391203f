package attack

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// transportAttacks are those on the way that bytes take.
var transportAttacks = []attack{
	{id: 15, name: "endless data", mirrors: func(w *world) []evil {
		header := "HTTP/1.1 200 OK\r\nX-Evil: "
		line := "X-" + strings.Repeat("evil", 4000) + ": x\r\n"
		return []evil{
			{name: "timestamp", kind: unbounded, file: ts, rules: at(ts, endless)},
			{name: "timestamp of a stated length", kind: unbounded, file: ts, rules: at(ts, endlessly(200, "Content-Length", "9223372036854775807"))},
			{name: "header lines", kind: unreachable, file: ts, rules: at(ts, raw("HTTP/1.1 200 OK\r\n", line))},
			{name: "one header line", kind: unreachable, file: ts, rules: at(ts, raw(header, "evil"))},
			{name: "status line", kind: unreachable, file: ts, rules: at(ts, raw("HTTP/1.1 200 ", "OK"))},
			{name: "interim answers", kind: unreachable, file: ts, rules: at(ts, raw("", "HTTP/1.1 103 Early Hints\r\n\r\n"))},
			{name: "body of an error", kind: unreachable, file: ts, rules: at(ts, endlessly(404))},
			{name: "body of a redirect", kind: unreachable, file: ts, rules: at(ts, endlessly(302, "Location", "/"))},
			{name: "chunk extension", kind: unreachable, file: ts, rules: at(ts, raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "evil"))},
			{name: "root", kind: unbounded, file: "2.root.json", rules: at("/2.root.json", endless)},
			{name: "snapshot", kind: tampered, file: "snapshot.json", rules: at("snapshot.json", endless)},
			{name: "targets", kind: tampered, file: "targets.json", rules: at("targets.json", endless)},
			{name: "index", kind: tampered, file: "index/", rules: at("index/", endless)},
			{name: "package", kind: tampered, file: "pool/", rules: at("pool/", endless)},
			{name: "behind a package, chunked", rules: at("pool/", func(x *exchange) { x.Write(x.data); endless(x) })},
		}
	}},
	{id: 16, name: "slow retrieval", mirrors: func(w *world) []evil {
		byteBySecond := trickle(time.Second)
		return []evil{
			{name: "a byte each second", kind: unreachable, file: ts, says: "too slow", rules: at(ts, byteBySecond)},
			{name: "headers byte by byte", kind: unreachable, file: ts, rules: at(ts, func(x *exchange) {
				conn, _, err := http.NewResponseController(x.ResponseWriter).Hijack()
				if err != nil {
					panic(err)
				}
				defer conn.Close()
				for _, c := range "HTTP/1.1 200 OK\r\nX-Slow: " + strings.Repeat("x", 100) {
					if _, err := conn.Write([]byte(string(c))); err != nil || x.wait(200*time.Millisecond) {
						return
					}
				}
			})},
			{name: "nothing", kind: unreachable, file: ts, rules: at(ts, stall)},
			{name: "stalled at 99 %", kind: unreachable, file: "index/", says: "too slow", rules: at("index/", stallAt(0.99))},
			{name: "no answer at all", kind: unreachable, file: "2.root.json", url: w.deaf()},
			{name: "package stalled at 99 %", kind: unreachable, file: "pool/", says: "too slow", rules: at("pool/", stallAt(0.99))},
			{name: "slow but legal", rules: at("", atRate(64<<10))},
		}
	}},
	{id: 32, name: "redirects", mirrors: func(w *world) []evil {
		service := &mirror{dir: w.folder("none"), rules: at("", fixed([]byte("{\"secret\": true}")))}
		all := []evil{
			{name: "loop", kind: unreachable, file: ts, says: "redirects", rules: at(ts, redirect("SELF"))},
			{name: "ever another", kind: unreachable, file: ts, says: "redirects", rules: at(ts, redirect("SELF?x"))},
			{name: "to a file", kind: unreachable, file: ts, says: "redirect to scheme", rules: at(ts, redirect("file:///etc/passwd"))},
			{name: "to ftp", kind: unreachable, file: ts, says: "redirect to scheme", rules: at(ts, redirect("ftp://127.0.0.1/x"))},
			{name: "to a socket", kind: unreachable, file: ts, rules: at(ts, redirect("unix:///run/docker.sock"))},
			{name: "with CR and LF", kind: unreachable, file: ts, rules: at(ts, raw("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/%0d%0aX-Evil:%20x\r\nContent-Length: 0\r\n\r\n"))},
			{name: "to nowhere", kind: unreachable, file: ts, rules: at(ts, redirect(""))},
			{name: "to another service", kind: tampered, file: ts, rules: at(ts, redirect(w.serve(service)+"latest/meta-data"))},
		}
		if w.https {
			plain := w.serveTLS(&mirror{dir: w.present}, nil)
			all = append(all, evil{name: "from https to http", kind: unreachable, file: ts, says: "from https to http", rules: at(ts, redirect(strings.TrimSuffix(plain, "/")+"SELF"))})
		}
		return all
	}, run: redirectedPassword},
	{id: 33, name: "HTTP lies", mirrors: httpLies},
	{id: 34, name: "resume poisoning", mirrors: func(w *world) []evil {
		return []evil{
			{name: "wrong bytes", kind: tampered, file: "pool/", rules: at("pool/", func(x *exchange) {
				if strings.HasPrefix(x.req.Header.Get("Range"), "bytes=0-") {
					honest(x) // the manifest
					return
				}
				edited(flip(0.9))(x)
			})},
			{name: "wrong bytes, then nothing", kind: unreachable, file: "pool/", rules: at("pool/", func(x *exchange) {
				if strings.HasPrefix(x.req.Header.Get("Range"), "bytes=0-") {
					honest(x) // the manifest
					return
				}
				for i := range x.data {
					x.data[i] ^= 1
				}
				x.limited(0.9, x.abort)
			})},
		}
	}, run: poisonedPart},
	{id: 35, name: "TLS", mirrors: tlsMirrors},
}

// httpLies are answers that contradict themselves or what was asked.
func httpLies(w *world) []evil {
	answer := func(headers, body string) []rule {
		return at(ts, raw("HTTP/1.1 "+headers+"\r\nConnection: close\r\n\r\n"+body))
	}
	ranges := func(name, kind string, headers string) evil {
		return evil{name: name, kind: kind, file: "pool/", rules: at("pool/", func(x *exchange) {
			if x.req.Header.Get("Range") == "" {
				honest(x)
				return
			}
			raw("HTTP/1.1 " + headers + "\r\nConnection: close\r\n\r\nCONTENT")(x)
		})}
	}
	all := []evil{
		{name: "too short a length", kind: tampered, file: ts, rules: answer("200 OK\r\nContent-Length: 10", "CONTENT")},
		{name: "too long a length", kind: unreachable, file: ts, says: "EOF", rules: answer("200 OK\r\nContent-Length: 9000", "CONTENT")},
		{name: "a negative length", kind: unreachable, file: ts, rules: answer("200 OK\r\nContent-Length: -1", "CONTENT")},
		{name: "two lengths", kind: unreachable, file: ts, rules: answer("200 OK\r\nContent-Length: 9\r\nContent-Length: 10", "CONTENT")},
		{name: "a length in letters", kind: unreachable, file: ts, rules: answer("200 OK\r\nContent-Length: ten", "CONTENT")},
		{name: "206 unasked", kind: unreachable, file: ts, rules: answer("206 Partial Content\r\nContent-Range: bytes 0-9/10", "CONTENT")},
		{name: "304 unasked", kind: unreachable, file: ts, says: "304", rules: answer("304 Not Modified", "")},
		{name: "204", kind: unreachable, file: ts, says: "204", rules: answer("204 No Content", "")},
		{name: "gzip unasked", kind: tampered, file: ts, rules: answer("200 OK\r\nContent-Encoding: gzip", "CONTENT")},
		{name: "a bad chunk", kind: unreachable, file: ts, rules: answer("200 OK\r\nTransfer-Encoding: chunked", "zz\r\nCONTENT")},
		{name: "an unknown transfer encoding", kind: unreachable, file: ts, rules: answer("200 OK\r\nTransfer-Encoding: rot13", "CONTENT")},
		{name: "1 MiB of headers", kind: unreachable, file: ts, rules: answer("200 OK\r\nX-Evil: "+strings.Repeat("x", 1<<20), "CONTENT")},
		{name: "HTTP/0.9", kind: unreachable, file: ts, rules: at(ts, raw("CONTENT"))},
		{name: "nothing and goodbye", kind: unreachable, file: ts, says: "EOF", rules: at(ts, raw(""))},
		{name: "status 999", kind: unreachable, file: ts, rules: answer("999 Evil", "")},
		{name: "control characters in the status", kind: unreachable, file: ts, rules: answer("599 \x1b[31mno\x07", "")},
	}
	// A server that does not do ranges right is asked for the whole, and that is right.
	for name, headers := range map[string]string{
		"200 to a range":        "200 OK\r\nContent-Length: SIZE",
		"206 with other range":  "206 Partial Content\r\nContent-Range: bytes 7-9/SIZE",
		"206 without range":     "206 Partial Content",
		"416":                   "416 Range Not Satisfiable\r\nContent-Length: 0",
		"multipart":             "206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x",
		"a range out of bounds": "206 Partial Content\r\nContent-Range: bytes 0-99999999999/SIZE",
	} {
		all = append(all, ranges(name, "", headers))
	}
	return append(all, evil{name: "chunked and a length", rules: at(ts, func(x *exchange) {
		raw(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\nCONTENT\r\n0\r\n\r\n", len(x.data)))(x)
	})})
}

// redirectedPassword: what a URL has of a user and a password goes to that host
// and to no other one.
func redirectedPassword(w *world, behind bool) {
	trap := &mirror{dir: w.present}
	to := strings.TrimSuffix(w.serve(trap), "/")
	m := &mirror{dir: w.present, rules: at("index/", redirect(to+"SELF"))}
	url := strings.Replace(w.serve(m), "://", "://user:secret@", 1)
	w.defineWith(behind, url)
	r := w.pkgtool("install", "--yes", "app")
	w.ended(r, done)
	w.installed()
	for _, h := range m.headers() {
		if !strings.HasPrefix(h.Get("Authorization"), "Basic ") {
			w.t.Error("the mirror itself did not get the password")
		}
	}
	if len(trap.headers()) == 0 {
		w.t.Error("the redirect was not followed")
	}
	for _, h := range trap.headers() {
		for name, values := range h {
			if text := strings.Join(values, " "); name == "Authorization" || name == "Cookie" || strings.Contains(text, "secret") {
				w.t.Errorf("another host got %s: %s", name, text)
			}
		}
	}
	w.define(strings.Replace(w.serve(&mirror{dir: w.present, rules: at("", status(500))}), "://", "://user:secret@", 1))
	if r := w.pkgtool("refresh"); r.code != network || strings.Contains(r.stdout+r.stderr, "secret") {
		w.t.Errorf("the password is in the message: %s", r)
	}
}

// poisonedPart: of a whole package that an earlier run left in part, the bytes
// are wrong.
func poisonedPart(w *world, behind bool) {
	w.defineWith(behind, w.good(w.present))
	w.ended(w.pkgtool("install", "--yes", "--download-only", "app"), done)
	var parts []string
	for _, e := range w.dirOf("var/cache/pkgtool/packages") {
		if e != ".keep" {
			parts = append(parts, w.in("var/cache/pkgtool/packages/"+e))
		}
	}
	if len(parts) == 0 {
		w.t.Fatal("nothing was fetched")
	}
	for _, p := range parts {
		data := w.read(p)
		for i := 1000; i < len(data); i += 1000 {
			data[i] ^= 1
		}
		w.write(p, data)
		w.write(strings.TrimSuffix(p, ".partial")+".ashlar.part", data)
	}
	w.ended(w.pkgtool("install", "--yes", "app"), done)
	w.installed()
}

func (w *world) dirOf(path string) (names []string) {
	w.t.Helper()
	entries, err := os.ReadDir(w.in(path))
	w.must(err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// tlsMirrors are servers with certificates that prove nothing. Over http the
// mirror sends the client on to them.
func tlsMirrors(w *world) []evil {
	wrong, err := newAuthority()
	w.must(err)
	unknown, err := wrong.certificate(nil)
	w.must(err)
	self, err := (*authority)(nil).certificate(nil)
	w.must(err)
	with := func(name, kind, says string, config *tls.Config) evil {
		url := w.serveTLS(&mirror{dir: w.present}, config)
		e := evil{name: name, kind: kind, says: says, file: "2.root.json", url: url}
		if !w.https {
			e.url, e.rules = "", at("", redirect(strings.TrimSuffix(url, "/")+"SELF"))
		}
		return e
	}
	certificate := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	changed := func(change func(*x509.Certificate)) *tls.Config { return certificate(w.certified(change)) }
	old := changed(nil)
	old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	plain := "https" + strings.TrimPrefix(w.serveTLS(&mirror{dir: w.present}, nil), "http")
	noTLS := evil{name: "no TLS", kind: unreachable, file: "2.root.json", url: plain}
	if !w.https {
		noTLS.url, noTLS.rules = "", at("", redirect(strings.TrimSuffix(plain, "/")+"SELF"))
	}
	return []evil{
		with("expired", impostor, "expired", changed(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })),
		with("not valid yet", impostor, "not yet valid", changed(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })),
		with("another host", impostor, "127.0.0.1", changed(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} })),
		with("self-signed", impostor, "unknown authority", certificate(self)),
		with("unknown authority", impostor, "unknown authority", certificate(unknown)),
		with("of a client", impostor, "certificate", changed(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })),
		with("TLS 1.1", unreachable, "TLS 1.2", old),
		noTLS,
	}
}
