package inside

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Kind says what a frame carries.
type Kind byte

// The frames of a conversation. pkgtool sends an order and at the end a receipt;
// everything else comes from the container.
const (
	OrderFrame   Kind = 'o' // an Order as JSON
	ReceiptFrame Kind = 'r' // nothing: everything arrived, pid 1 may end
	AliveFrame   Kind = 'a' // nothing: sent every few seconds
	StartFrame   Kind = 's' // the number of a command that starts, as decimal text
	LogFrame     Kind = 'l' // what the commands print
	WroteFrame   Kind = 'w' // nothing: the commands wrote files since the last one
	ResultFrame  Kind = 'e' // a Result as JSON; no command runs any more
	DestFrame    Kind = 'd' // a piece of /dest, packed; an empty one is its end
	BuildFrame   Kind = 'b' // the same of /build
)

// maxFrame bounds a frame's payload, in bytes.
const maxFrame = 1 << 20

// frameHead is the kind and the payload's length, big endian.
const frameHead = 5

// Conn sends and receives frames. Several goroutines may send.
type Conn struct {
	rw   io.ReadWriter
	mu   sync.Mutex
	head [frameHead]byte
}

// NewConn speaks frames on a byte stream.
func NewConn(rw io.ReadWriter) *Conn { return &Conn{rw: rw} }

// Send writes one frame; a payload has 1 MiB at most.
func (c *Conn) Send(kind Kind, payload []byte) error {
	if len(payload) > maxFrame {
		return fmt.Errorf("frame of %d bytes; %d is the most", len(payload), maxFrame)
	}
	frame := make([]byte, frameHead, frameHead+len(payload))
	frame[0] = byte(kind)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload)))
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.rw.Write(append(frame, payload...))
	return err
}

// SendJSON sends a value.
func (c *Conn) SendJSON(kind Kind, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Send(kind, data)
}

// Receive reads the next frame; io.EOF is the end between two frames. One
// goroutine may receive.
func (c *Conn) Receive() (Kind, []byte, error) {
	if _, err := io.ReadFull(c.rw, c.head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(c.head[1:])
	if size > maxFrame {
		return 0, nil, fmt.Errorf("frame of %d bytes; %d is the most", size, maxFrame)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.rw, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return Kind(c.head[0]), payload, nil
}

// writer sends everything written to it as frames of one kind.
type writer struct {
	conn *Conn
	kind Kind
}

// pieceSize is small enough to be passed on without being divided.
const pieceSize = 32<<10 - frameHead

func (w writer) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		piece := rest[:min(len(rest), pieceSize)]
		rest = rest[len(piece):]
		if err := w.conn.Send(w.kind, piece); err != nil {
			return 0, err
		}
	}
	return len(data), nil
}
