// Package report tells a server what an installation is doing.
//
// In: what happens, as [Message]; out: a POST of JSON to the address that the
// kernel parameter ashlar.report names. A report is a courtesy: a server that
// does not answer costs an installation nothing but two seconds.
package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// Phases of an installation.
const (
	Installing = "installing"
	Installed  = "installed"
	Failed     = "failed"
)

// Message is one report.
type Message struct {
	Schema int    `json:"schema"` // 1; set by Send
	Phase  string `json:"phase"`
	Step   string `json:"step,omitempty"`  // what is being done, for people
	Done   int64  `json:"done,omitempty"`  // bytes of the step
	Total  int64  `json:"total,omitempty"` // bytes of the step
	Error  string `json:"error,omitempty"` // why it failed
}

// MaxMessage is the most bytes that a server reads of one.
const MaxMessage = 64 << 10

// The headers by which a machine that asks for its answer file says who it is.
const (
	HeaderSerial = "Ashlar-Serial"
	HeaderUUID   = "Ashlar-Uuid"
	HeaderMAC    = "Ashlar-Mac" // once for each network card
)

// timeout bounds one report.
const timeout = 2 * time.Second

// Reporter sends messages. A nil one sends none.
type Reporter struct {
	url    string
	client *http.Client
	last   time.Time
}

// To returns a reporter for an address; nil for "".
func To(url string) *Reporter {
	if url == "" {
		return nil
	}
	return &Reporter{url: url, client: &http.Client{Timeout: timeout}}
}

// FromKernel returns a reporter for the address on the kernel's command line, a
// file like /proc/cmdline; nil if there is none.
func FromKernel(file string) *Reporter {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for _, word := range strings.Fields(string(text)) {
		if url, ok := strings.CutPrefix(word, "ashlar.report="); ok {
			return To(url)
		}
	}
	return nil
}

// Send sends one message. Its error says that nobody heard it; callers go on.
func (r *Reporter) Send(ctx context.Context, m Message) error {
	if r == nil {
		return nil
	}
	m.Schema = 1
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("report to %s: %w", r.url, err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("report to %s: %s", r.url, resp.Status)
	}
	return nil
}

// Progress is Send for what happens often: at most one a second goes out.
func (r *Reporter) Progress(ctx context.Context, m Message) {
	if r == nil || time.Since(r.last) < time.Second {
		return
	}
	r.last = time.Now()
	_ = r.Send(ctx, m) // a courtesy, see above
}

// End sends how it ended, several times if it must: by this the server knows
// not to install the machine again.
func (r *Reporter) End(ctx context.Context, failure error) error {
	m := Message{Phase: Installed}
	if failure != nil {
		m = Message{Phase: Failed, Error: failure.Error()}
	}
	var err error
	for try := range 5 {
		if err = r.Send(ctx, m); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try+1) * time.Second):
		}
	}
	return err
}
