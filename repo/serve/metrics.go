package serve

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"ashlar/repo"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// limit is a bound that a client met.
type limit int

const (
	limitConnections limit = iota
	limitPerAddress
	limitPath
	limitRate
	limitHandshake
	limits
)

func (l limit) String() string {
	return [limits]string{"connections", "connections_per_address", "path", "rate", "tls_handshake"}[l]
}

// statuses are told apart in metrics; another counts as 0, "other".
var statuses = [...]int{0, 200, 206, 301, 302, 304, 308, 400, 404, 405, 412, 414, 416, 500, 503}

// Metrics counts what a server does, for Prometheus. A nil Metrics does nothing.
type Metrics struct {
	registry *prometheus.Registry
	running  atomic.Int64
	requests [kinds][len(statuses)]prometheus.Counter
	bytes    [kinds]prometheus.Counter
	duration [kinds]prometheus.Observer
	hit      [limits]prometheus.Counter

	server *Server

	mu        sync.Mutex
	seen      identity // of the timestamp metadata that published is from
	published *repo.Published
}

// NewMetrics makes the metrics of one server.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ashlar_serve_requests_total", Help: "Answers by kind of object and status."}, []string{"kind", "status"})
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ashlar_serve_bytes_total", Help: "Bytes of bodies that were sent."}, []string{"kind"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ashlar_serve_duration_seconds", Help: "Time from a request's header to the end of its answer.",
		Buckets: []float64{.0001, .001, .01, .1, 1, 10, 100}}, []string{"kind"})
	hit := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ashlar_serve_limited_total", Help: "Clients that met a limit."}, []string{"limit"})
	for k := range kinds {
		for i, status := range statuses {
			name := strconv.Itoa(status)
			if status == 0 {
				name = "other"
			}
			m.requests[k][i] = requests.WithLabelValues(k.String(), name)
		}
		m.bytes[k], m.duration[k] = sent.WithLabelValues(k.String()), duration.WithLabelValues(k.String())
	}
	for l := range limits {
		m.hit[l] = hit.WithLabelValues(l.String())
	}
	running := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ashlar_serve_requests_running", Help: "Requests being answered."},
		func() float64 { return float64(m.running.Load()) })
	m.registry.MustRegister(requests, sent, duration, hit, running, (*state)(m))
	return m
}

func (m *Metrics) begin() {
	if m != nil {
		m.running.Add(1)
	}
}

func (m *Metrics) end(k kind, status int, bytes int64, took time.Duration) {
	if m == nil {
		return
	}
	m.running.Add(-1)
	which := 0
	for i, s := range statuses {
		if s == status {
			which = i
			break
		}
	}
	m.requests[k][which].Inc()
	m.bytes[k].Add(float64(bytes))
	m.duration[k].Observe(took.Seconds())
}

func (m *Metrics) limited(l limit) {
	if m != nil {
		m.hit[l].Inc()
	}
}

// state is what is read when Prometheus asks: connections, and the state that
// the repository shows.
type state Metrics

var (
	connectionsDesc = prometheus.NewDesc("ashlar_serve_connections", "Connections that are open.", nil, nil)
	readableDesc    = prometheus.NewDesc("ashlar_repository_readable", "1 if the published state can be read and its signatures are good.", nil, nil)
	versionDesc     = prometheus.NewDesc("ashlar_repository_version", "Version of the metadata of a role.", []string{"role"}, nil)
	expiresDesc     = prometheus.NewDesc("ashlar_repository_expires_seconds", "Unix time at which the metadata of a role expires.", []string{"role"}, nil)
	publishedDesc   = prometheus.NewDesc("ashlar_repository_published_seconds", "Unix time of the publication that is shown.", nil, nil)
)

func (s *state) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connectionsDesc, readableDesc, versionDesc, expiresDesc, publishedDesc} {
		out <- d
	}
}

func (s *state) Collect(out chan<- prometheus.Metric) {
	if s.server == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(connectionsDesc, float64(s.server.gate.open.Load()))
	p := s.read()
	if p == nil {
		gauge(readableDesc, 0)
		return
	}
	gauge(readableDesc, 1)
	for _, role := range p.Roles {
		gauge(versionDesc, float64(role.Version), role.Name)
		gauge(expiresDesc, float64(role.Expires.Unix()), role.Name)
	}
	if !p.Time.IsZero() {
		gauge(publishedDesc, float64(p.Time.Unix()))
	}
}

// read returns the state that is shown, or nil; it is verified once.
func (s *state) read() *repo.Published {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, id, err := s.server.folder.open(repo.TimestampPath)
	if err == nil {
		f.Close()
		if id == s.seen {
			return s.published
		}
	}
	p, err := repo.ReadPublished(s.server.dir)
	if err != nil {
		s.server.report("metrics: %v", err)
		p = nil
	}
	s.seen, s.published = id, p
	return p
}

// Serve answers Prometheus on a listener of its own until ctx ends.
func (m *Metrics) Serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
