package serve

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"ashlar/pkgtool/fault"
)

// Certificate is a certificate chain and its key in two PEM files, read again
// when one of them has changed.
type Certificate struct {
	cert, key string
	report    func(error)

	mu      sync.Mutex
	asked   time.Time
	read    [2]stamp
	current *tls.Certificate
}

type stamp struct {
	changed time.Time
	size    int64
}

// recheck is how often the files are looked at, at most.
const recheck = time.Second

// OpenCertificate reads the files. report gets what is wrong with later
// versions of them, once for each; the last good one stays in use then.
func OpenCertificate(cert, key string, report func(error)) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key, report: report}
	c.read = c.stamps()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fault.Mark(fmt.Errorf("certificate %s with key %s: %w", cert, key, err), fault.Usage, "both are PEM files, the certificate first, then its chain")
	}
	c.current, c.asked = &pair, time.Now()
	return c, nil
}

// Config is a server's configuration with the certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.asked) < recheck {
		return c.current, nil
	}
	c.asked = time.Now()
	now := c.stamps()
	if now == c.read {
		return c.current, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		// Perhaps only one of the two is there yet: ask again next time.
		if c.report != nil {
			c.report(fmt.Errorf("the new certificate is not used: %w", err))
		}
		c.read = now
		return c.current, nil
	}
	c.current, c.read = &pair, now
	return c.current, nil
}

func (c *Certificate) stamps() (s [2]stamp) {
	for i, file := range []string{c.cert, c.key} {
		if info, err := os.Stat(file); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}
