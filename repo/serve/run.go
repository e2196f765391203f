package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"

	"ashlar/pkgtool/fault"

	"golang.org/x/sys/unix"
)

// Listener is where clients come in.
type Listener struct {
	net.Listener
	TLS bool // by Options.TLS, with HTTP/2 for those who know it
}

// Serve answers clients until ctx ends, then lets running answers finish for
// at most Limits.Stop. It closes the listeners.
func (s *Server) Serve(ctx context.Context, listeners ...Listener) error {
	stop := s.Log.start()
	defer stop()
	s.leaveFiles()
	server := s.httpServer(ctx)
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			if l.TLS {
				failed <- server.ServeTLS(&guarded{l.Listener, s}, "", "")
			} else {
				failed <- server.Serve(&guarded{l.Listener, s})
			}
		}()
	}
	select {
	case err := <-failed:
		server.Close()
		return fault.Mark(fmt.Errorf("serve %s: %w", s.dir, err), fault.Network, "")
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Limits.Stop)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return server.Close()
	}
	return nil
}

// leaveFiles keeps a quarter of the files that the process may have open for
// what connections ask for: every connection is one, and every download.
func (s *Server) leaveFiles() {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && files.Cur < 1<<30 {
		s.gate.max = max(1, min(s.gate.max, int(files.Cur-files.Cur/4)))
	}
}

func (s *Server) httpServer(ctx context.Context) *http.Server {
	l := s.Limits
	return &http.Server{
		Handler:           s,
		TLSConfig:         s.TLS,
		ReadHeaderTimeout: l.Request,
		ReadTimeout:       l.Request,
		WriteTimeout:      l.Answer, // files extend it
		IdleTimeout:       l.Idle,
		MaxHeaderBytes:    l.Header,
		ErrorLog:          log.New(inner{s}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ConnContext:       connContext,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 64,
			SendPingTimeout:      l.Idle / 2,
			PingTimeout:          l.Request,
			WriteByteTimeout:     l.Answer,
		},
	}
}

// inner takes what net/http reports. Clients that do not speak TLS, or go away
// in the middle, are no news.
type inner struct{ s *Server }

func (i inner) Write(line []byte) (int, error) {
	switch {
	case bytes.HasPrefix(line, []byte("http: TLS handshake error")):
		i.s.Metrics.limited(limitHandshake)
	case i.s.Errors != nil:
		fmt.Fprintf(i.s.Errors, "pkgtool: serve: %q\n", bytes.TrimSpace(line[:min(len(line), 4096)]))
	}
	return len(line), nil
}

// Amounts for the garbage collector of a process that does nothing but serve:
// it runs after idleHeap*gcPercent/100 = 24 MiB of garbage, plus a tenth of
// what is in use. Go's own rule would wait for as much garbage as there is
// memory in use, which is too little with few connections and too much with
// thousands.
const (
	idleHeap  = 240 << 20
	gcPercent = 10
)

// Tune sets the garbage collector up for a process that does nothing but
// serve, until the function it returns is called.
func Tune() (undo func()) {
	// Never touched, so it is no memory, but it counts as heap.
	ballast := make([]byte, idleHeap)
	before := debug.SetGCPercent(gcPercent)
	return func() {
		debug.SetGCPercent(before)
		runtime.KeepAlive(ballast)
	}
}
