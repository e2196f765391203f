package installer

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"ashlar/installer/report"
)

func TestFetchSaysWhoTheMachineIs(t *testing.T) {
	sys := t.TempDir()
	for name, text := range map[string]string{"class/dmi/id/product_serial": "RACK 7\n", "class/dmi/id/product_uuid": "00112233-4455-6677-8899-aabbccddeeff\n",
		"class/net/eth0/address": "52:54:00:00:00:01\n", "class/net/eth1/address": "52:54:00:00:00:02\n", "class/net/lo/address": "00:00:00:00:00:00\n"} {
		path := filepath.Join(sys, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if asked.Add(1) == 1 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		h := req.Header
		if h.Get(report.HeaderSerial) != "RACK 7" || !strings.HasPrefix(h.Get(report.HeaderUUID), "0011") || strings.Join(h.Values(report.HeaderMAC), " ") != "52:54:00:00:00:01 52:54:00:00:00:02" {
			t.Errorf("headers %v", h)
		}
		w.Write([]byte("version: 1\n"))
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "run/answers.yaml")
	waited := 0
	if err := Fetch(t.Context(), server.URL, sys, file, func(error) { waited++ }); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "version: 1\n" || waited != 1 {
		t.Errorf("%q, %v, waited %d times", text, err, waited)
	}
}

func TestFetchGivesUp(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/long" {
			w.Write(make([]byte, maxAnswers+1))
			return
		}
		http.Error(w, "there is no answer file for this machine", http.StatusNotFound)
	}))
	defer server.Close()
	for _, c := range []struct{ where, want string }{
		{server.URL, "no answer file for this machine"},
		{server.URL + "/long", "more than 1048576 bytes"},
		{"/nowhere/answers.yaml", "no such file"},
		{"ftp://x/", "no such file"},
	} {
		err := Fetch(t.Context(), c.where, t.TempDir(), filepath.Join(t.TempDir(), "answers.yaml"), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.where, err)
		}
	}
}

func TestKernelParameter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cmdline")
	if err := os.WriteFile(file, []byte("quiet ashlar.answers=http://a/ xashlar.answers=b ashlar.answers=http://c/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := KernelParameter(file, AnswersParameter); got != "http://c/" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := KernelParameter(file, "ashlar.report"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// The answer file is on a drive that is labelled for it; of two that differ none
// is taken.
func TestAnswersOnADrive(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may attach loop devices")
	}
	sys := t.TempDir()
	drive := func(label, text string) {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, AnswersName), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		device := loopDisk(t, 16<<20)
		if out, err := exec.Command("mkfs.ext4", "-q", "-L", label, "-d", dir, device).CombinedOutput(); err != nil {
			t.Fatalf("mkfs.ext4: %v\n%s", err, out)
		}
		if err := os.WriteFile(filepath.Join(sys, filepath.Base(device)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	drive("OTHER", "wrong")
	drive("answers", "right")
	if text, err := fromDrive(t.Context(), sys, "/dev"); err != nil || string(text) != "right" {
		t.Fatalf("%q, %v", text, err)
	}
	drive("ANSWERS", "different")
	if _, err := fromDrive(t.Context(), sys, "/dev"); err == nil || !strings.Contains(err.Error(), "take one out") {
		t.Fatalf("two drives: %v", err)
	}
}
