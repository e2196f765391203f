package buildkit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/buildkit/inside"
	"ashlar/pkgtool/build/sandbox"

	"github.com/moby/buildkit/session/sshforward"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// patience is how long pid 1 on the farm may say nothing, not even that it is
// there, before its machine counts as dead.
const patience = time.Minute

// talk is the conversation with pid 1 of one container. A daemon forwards sockets
// for agents of ssh, and any protocol may be spoken on them.
type talk struct {
	order inside.Order
	work  *build.Work
	stop  func(reason error) // ends the work
	into  string             // an empty folder for what comes back
	alive *time.Timer

	mu      sync.Mutex
	started bool
	ended   chan struct{} // closed when nobody speaks any more
	result  *inside.Result
	err     error // why there is no result
}

func newTalk(w *build.Work, o inside.Order, into string, stop func(error)) *talk {
	return &talk{order: o, work: w, into: into, stop: stop, ended: make(chan struct{})}
}

// errSilent is the end of a machine of which nothing is heard any more.
var errSilent = fmt.Errorf("nothing was heard from it for %v", patience)

// Register makes the conversation one that the daemon can begin.
func (t *talk) Register(server *grpc.Server) { sshforward.RegisterSSHServer(server, t) }

// CheckAgent says that there is something to forward to.
func (t *talk) CheckAgent(context.Context, *sshforward.CheckAgentRequest) (*sshforward.CheckAgentResponse, error) {
	return &sshforward.CheckAgentResponse{}, nil
}

// ForwardAgent is called for each connection made to the socket in the
// container. The first is pid 1, which connects before anything else runs there.
func (t *talk) ForwardAgent(stream sshforward.SSH_ForwardAgentServer) error {
	t.mu.Lock()
	first := !t.started
	t.started = true
	t.mu.Unlock()
	if !first {
		return status.Error(codes.PermissionDenied, "one connection only")
	}
	result, err := t.speak(inside.NewConn(&pipe{stream: stream}))
	t.mu.Lock()
	t.result, t.err = result, err
	t.mu.Unlock()
	close(t.ended)
	return err
}

// outcome is what came of the conversation: neither where there was none.
func (t *talk) outcome() (*inside.Result, error) {
	t.mu.Lock()
	started := t.started
	t.mu.Unlock()
	if !started {
		return nil, nil
	}
	<-t.ended
	return t.result, t.err
}

func (t *talk) speak(conn *inside.Conn) (*inside.Result, error) {
	t.alive = time.AfterFunc(patience, func() { t.stop(errSilent) })
	defer t.alive.Stop()
	if err := conn.SendJSON(inside.OrderFrame, t.order); err != nil {
		return nil, err
	}
	result, err := t.listen(conn)
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		kind inside.Kind
		name string
		sent bool
	}{
		{inside.DestFrame, destName, t.order.Dest != "" && (result.Done || result.Failed())},
		{inside.BuildFrame, buildName, t.order.Build != "" && result.Failed()},
	} {
		if !f.sent {
			continue
		}
		if err := t.receive(conn, f.kind, filepath.Join(t.into, f.name)); err != nil {
			return nil, fmt.Errorf("receive /%s: %w", f.name, err)
		}
	}
	return result, conn.Send(inside.ReceiptFrame, nil)
}

// listen takes the log until the commands have ended.
func (t *talk) listen(conn *inside.Conn) (*inside.Result, error) {
	watch := sandbox.NewWatch(t.work.Limits, t.stop)
	defer watch.Close()
	for {
		kind, payload, err := conn.Receive()
		if err != nil {
			return nil, err
		}
		t.alive.Reset(patience)
		switch kind {
		case inside.AliveFrame:
		case inside.WroteFrame:
			watch.Wrote()
		case inside.StartFrame:
			n, err := strconv.Atoi(string(payload))
			if err != nil || n < 0 || n >= len(t.order.Commands) {
				return nil, fmt.Errorf("command number %.20q started", payload)
			}
			if t.work.Started != nil {
				t.work.Started(n)
			}
		case inside.LogFrame:
			if !watch.Printed(len(payload)) {
				continue
			}
			if _, err := t.work.Log.Write(payload); err != nil {
				t.stop(fmt.Errorf("write the log: %w", err))
			}
		case inside.ResultFrame:
			var r inside.Result
			if err := json.Unmarshal(payload, &r); err != nil {
				return nil, fmt.Errorf("read the result: %w", err)
			}
			return &r, nil
		default:
			return nil, fmt.Errorf("unexpected frame %q", kind)
		}
	}
}

// receive unpacks a folder.
func (t *talk) receive(conn *inside.Conn, kind inside.Kind, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.stop(err)
		return err
	}
	pieces := &pieces{conn: conn, kind: kind, heard: func() { t.alive.Reset(patience) }}
	err := inside.Unpack(pieces, dir, inside.Bounds{Bytes: maxBytes, Entries: maxEntries})
	if err == nil {
		_, err = io.Copy(io.Discard, pieces)
	}
	if err != nil && pieces.err == nil {
		t.stop(fmt.Errorf("unpack what the farm sent: %w", err)) // another daemon would not help
	}
	return err
}

// What a build may install; far more than any does.
const (
	maxBytes   = 256 << 30
	maxEntries = 10_000_000
)

// pieces reads what frames of one kind carry, until the empty one.
type pieces struct {
	conn  *inside.Conn
	kind  inside.Kind
	heard func()
	rest  []byte
	end   bool
	err   error // of the connection
}

func (p *pieces) Read(buf []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.end {
			return 0, io.EOF
		}
		kind, payload, err := p.conn.Receive()
		if err != nil {
			p.err = err
			return 0, err
		}
		p.heard()
		switch {
		case kind == inside.AliveFrame || kind == inside.WroteFrame:
		case kind != p.kind:
			return 0, fmt.Errorf("unexpected frame %q", kind)
		default:
			p.rest, p.end = payload, len(payload) == 0
		}
	}
	n := copy(buf, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// pipe makes a stream of messages one of bytes.
type pipe struct {
	stream sshforward.SSH_ForwardAgentServer
	rest   []byte
}

func (p *pipe) Read(buf []byte) (int, error) {
	for len(p.rest) == 0 {
		m, err := p.stream.Recv()
		if err != nil {
			return 0, err
		}
		p.rest = m.Data
	}
	n := copy(buf, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pipe) Write(data []byte) (int, error) {
	if err := p.stream.Send(&sshforward.BytesMessage{Data: data}); err != nil {
		return 0, err
	}
	return len(data), nil
}
