package boot

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"
)

// monitor is a connection to QEMU's machine protocol (QMP).
type monitor struct {
	conn net.Conn
	done chan struct{} // closed when everything that QEMU said was taken in

	mu      sync.Mutex
	next    int
	waiting map[int]chan message
	closed  bool
	onEvent func(Event)
}

// Event is what QEMU tells without being asked: SHUTDOWN, GUEST_PANICKED.
type Event struct {
	Name string          `json:"event"`
	Data json.RawMessage `json:"data"`
}

type message struct {
	ID     *int            `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event
}

// newMonitor takes the greeting and leaves negotiation mode.
func newMonitor(ctx context.Context, conn net.Conn, onEvent func(Event)) (*monitor, error) {
	m := &monitor{conn: conn, done: make(chan struct{}), waiting: map[int]chan message{}, onEvent: onEvent}
	go m.read()
	_, err := m.execute(ctx, "qmp_capabilities", nil)
	return m, err
}

func (m *monitor) read() {
	defer close(m.done)
	dec := json.NewDecoder(m.conn)
	for {
		var msg message
		if dec.Decode(&msg) != nil {
			break
		}
		switch {
		case msg.Event.Name != "":
			m.onEvent(msg.Event)
		case msg.ID != nil:
			m.mu.Lock()
			reply := m.waiting[*msg.ID]
			delete(m.waiting, *msg.ID)
			m.mu.Unlock()
			if reply != nil {
				reply <- msg
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, reply := range m.waiting {
		close(reply)
	}
	m.waiting = nil
}

func (m *monitor) execute(ctx context.Context, command string, args any) (json.RawMessage, error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, fmt.Errorf("QMP %s: QEMU has ended", command)
	}
	m.next++
	id := m.next
	reply := make(chan message, 1)
	m.waiting[id] = reply
	request := map[string]any{"execute": command, "id": id}
	if args != nil {
		request["arguments"] = args
	}
	m.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	err := json.NewEncoder(m.conn).Encode(request)
	m.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("QMP %s: %w", command, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	select {
	case msg, ok := <-reply:
		if !ok {
			return nil, fmt.Errorf("QMP %s: QEMU has ended", command)
		}
		if msg.Error != nil {
			return nil, fmt.Errorf("QMP %s: %s", command, msg.Error.Desc)
		}
		return msg.Return, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("QMP %s: no answer: %w", command, ctx.Err())
	}
}
