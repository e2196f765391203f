package netboot

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"ashlar/installer/report"

	"github.com/google/uuid"
	"github.com/pin/tftp/v3"
)

// web is the HTTP side. A root image may take long on a slow line, so there is
// no limit on the time of an answer, only on silence before it.
func (s *server) web() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /m/{mac}/{name}", s.serveFile)
	mux.HandleFunc("GET /m/{mac}/answers.yaml", s.serveAnswers)
	mux.HandleFunc("POST /m/{mac}/report", s.takeReport)
	mux.HandleFunc("GET /status", s.serveStatus)
	mux.HandleFunc("POST /again/{machine}", s.again)
	if s.options.Repository != nil {
		mux.Handle("/repository/", http.StripPrefix("/repository", s.options.Repository))
	}
	return &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
}

func remoteHost(req *http.Request) string {
	host, _, _ := net.SplitHostPort(req.RemoteAddr)
	return host
}

func (s *server) serveFile(w http.ResponseWriter, req *http.Request) {
	mac, name, ok := splitPath(req.URL.Path)
	if !ok {
		http.NotFound(w, req)
		return
	}
	f := s.file(mac, name, remoteHost(req), req.Method == http.MethodGet)
	if f == nil {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	http.ServeContent(w, req, "", f.changed, f.content)
}

// serveAnswers gives a machine its answer file. The installer says in headers
// what firmware could not.
func (s *server) serveAnswers(w http.ResponseWriter, req *http.Request) {
	mac, _, ok := splitPath(req.URL.Path)
	if !ok {
		http.NotFound(w, req)
		return
	}
	st, ok := s.registry.update(mac, func(st *Status) {
		st.Address = remoteHost(req)
		if serial := strings.TrimSpace(req.Header.Get(report.HeaderSerial)); serial != "" && len(serial) <= maxSerial {
			st.Serial = serial
		}
		if u, err := uuid.Parse(req.Header.Get(report.HeaderUUID)); err == nil {
			st.UUID = u.String()
		}
	})
	if !ok {
		http.Error(w, "too many machines", http.StatusServiceUnavailable)
		return
	}
	list := s.machines()
	entry := list.find(mac, st.Serial, st.UUID)
	for _, other := range req.Header.Values(report.HeaderMAC) {
		if address, err := net.ParseMAC(other); entry == nil && err == nil {
			entry = list.find(address.String(), st.Serial, st.UUID)
		}
	}
	if entry == nil && list.Unknown == "ignore" {
		s.name(mac, nil, Local)
		http.Error(w, "this machine is not in the list", http.StatusNotFound)
		return
	}
	answers, err := list.answersOf(entry)
	if err != nil {
		s.say("%s: %v", mac, err)
		http.Error(w, "the answer file cannot be read; the server says why", http.StatusInternalServerError)
		return
	}
	if answers == nil {
		http.Error(w, "there is no answer file for this machine", http.StatusNotFound)
		return
	}
	s.name(mac, entry, Answers)
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(answers)
}

func (s *server) takeReport(w http.ResponseWriter, req *http.Request) {
	mac, _, ok := splitPath(req.URL.Path)
	var m report.Message
	err := json.NewDecoder(io.LimitReader(req.Body, report.MaxMessage)).Decode(&m)
	if !ok || err != nil || m.Schema != 1 || m.Phase == "" || len(m.Phase) > maxSerial {
		http.Error(w, "this is no report", http.StatusBadRequest)
		return
	}
	if st := s.registry.get(mac); st.Phase == "" || st.Address != "" && st.Address != remoteHost(req) {
		http.Error(w, "this machine was not started from here", http.StatusForbidden)
		return
	}
	s.registry.reported(mac, m)
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.Encode(state{1, s.registry.list()})
}

// again lets a machine be installed again. Only this host may ask.
func (s *server) again(w http.ResponseWriter, req *http.Request) {
	if host := net.ParseIP(remoteHost(req)); !host.Equal(s.address) && !host.IsLoopback() {
		http.Error(w, "only the server's own host may ask for this", http.StatusForbidden)
		return
	}
	if !s.registry.again(req.PathValue("machine")) {
		http.Error(w, "no machine of this name or address was seen", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveTFTP answers a request for a file.
func (s *server) serveTFTP(path string, to io.ReaderFrom) error {
	mac, name, ok := splitPath(path)
	var f *file
	if ok {
		address := ""
		if t, is := to.(tftp.OutgoingTransfer); is {
			remote := t.RemoteAddr()
			address = remote.IP.String()
		}
		f = s.file(mac, name, address, true)
	}
	if f == nil {
		return fmt.Errorf("there is no file %q", path)
	}
	if t, is := to.(tftp.OutgoingTransfer); is {
		t.SetSize(f.size)
	}
	_, err := to.ReadFrom(f.content)
	return err
}
