package netboot

import (
	"archive/tar"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ashlar/installer"
	"ashlar/installer/report"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// testImage makes an image of the format netboot.
func testImage(t *testing.T, without ...string) string {
	t.Helper()
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	files := map[string]string{"manifest.json": `{"schema":1,"summary":"Test","cmdline":"console=ttyS0"}`, "vmlinuz": "kernel", "initrd.img": "ram",
		"root.img": "root", loaderBIOS: "grub", loaderEFI: "MZ" + string(place) + strings.Repeat("#", 160) + "\nconfigfile\n"}
	for _, name := range without {
		delete(files, name)
	}
	for name, content := range files {
		if err := out.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(out, content)
	}
	out.Close()
	path := filepath.Join(t.TempDir(), "test.netboot.tar")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// testServer is a server that listens nowhere.
func testServer(t *testing.T) *server {
	t.Helper()
	image, err := OpenImage(testImage(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { image.Close() })
	r, err := openRegistry("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &server{image: image, registry: r, address: net.IPv4(192, 0, 2, 1).To4(), port: httpPort, list: readTestList(t), say: t.Logf}
}

func TestImagesThatAreNone(t *testing.T) {
	whole, err := os.ReadFile(testImage(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{testImage(t, "root.img"), "has no root.img"},
		{testImage(t, "manifest.json"), "has no manifest.json"},
		{write(t, "x", "no tar at all"), "no tar"},
		{write(t, "x", string(whole[:1500])), "x: it"},
	} {
		if _, err := OpenImage(c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v; want %q", err, c.want)
		}
	}
}

func TestLoaderKeepsItsSize(t *testing.T) {
	s := testServer(t)
	loader, err := s.image.loaderFor(s.loaderCommands("52:54:00:00:00:0a", firmwareHTTP))
	if err != nil {
		t.Fatal(err)
	}
	if len(loader) != len(s.image.efi) || !strings.HasSuffix(string(loader), "\n\nconfigfile\n") {
		t.Errorf("%q", loader)
	}
	if want := "MZset protocol=http\nset server=192.0.2.1\nset machine=52-54-00-00-00-0a\nnet_bootp\n\n"; !strings.HasPrefix(string(loader), want) {
		t.Errorf("%q", loader)
	}
	if _, err := s.image.loaderFor(strings.Repeat("x", 1000)); err == nil {
		t.Error("there was room for 1000 characters")
	}
}

func TestDHCPAnswers(t *testing.T) {
	pxe := func(arch iana.Arch) []dhcpv4.Modifier {
		return []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient:Arch:00000:UNDI:003000")), dhcpv4.WithOption(dhcpv4.OptClientArch(arch))}
	}
	web := []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClassIdentifier("HTTPClient:Arch:00016:UNDI:003001")), dhcpv4.WithOption(dhcpv4.OptClientArch(iana.EFI_X86_64_HTTP))}
	ipxe := append(pxe(iana.INTEL_X86PC), dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionUserClassInformation, []byte("iPXE"))))
	request := dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest)
	known, never := "52:54:00:00:00:0a", "52:54:00:00:00:0d"
	for _, c := range []struct {
		what string
		mac  string
		port int
		how  []dhcpv4.Modifier
		file string // "" for no answer
		kind dhcpv4.MessageType
	}{
		{"iPXE", known, 67, ipxe, "http://192.0.2.1/m/52-54-00-00-00-0a/boot.ipxe", dhcpv4.MessageTypeOffer},
		{"BIOS", known, 67, pxe(iana.INTEL_X86PC), "m/52-54-00-00-00-0a/network.0", dhcpv4.MessageTypeOffer},
		{"UEFI", known, 67, pxe(iana.EFI_X86_64), "m/52-54-00-00-00-0a/network.efi", dhcpv4.MessageTypeOffer},
		{"UEFI at the boot server", known, 4011, append(pxe(iana.EFI_BC), request), "m/52-54-00-00-00-0a/network.efi", dhcpv4.MessageTypeAck},
		{"UEFI over HTTP", known, 67, web, "http://192.0.2.1/m/52-54-00-00-00-0a/network.efi", dhcpv4.MessageTypeOffer},
		{"ARM", known, 67, pxe(iana.EFI_ARM64), "", 0},
		{"an ordinary client", known, 67, nil, "", 0},
		{"a request to the other server", known, 67, append(pxe(iana.EFI_X86_64), request), "", 0},
		{"unknown, perhaps by its serial number", "52:54:00:00:00:ff", 67, ipxe, "http://192.0.2.1/m/52-54-00-00-00-ff/boot.ipxe", dhcpv4.MessageTypeOffer},
		{"never, but not sure before its serial number", never, 67, ipxe, "http://192.0.2.1/m/52-54-00-00-00-0d/boot.ipxe", dhcpv4.MessageTypeOffer},
	} {
		s := testServer(t)
		mac, _ := net.ParseMAC(c.mac)
		m, err := dhcpv4.NewDiscovery(mac, c.how...)
		if err != nil {
			t.Fatal(err)
		}
		// What travels is bytes.
		if m, err = dhcpv4.FromBytes(m.ToBytes()); err != nil {
			t.Fatal(err)
		}
		reply, err := s.answer(m, c.port)
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.what, err)
		case reply == nil && c.file != "" || reply != nil && c.file == "":
			t.Errorf("%s: answer %v", c.what, reply)
		case reply != nil && (reply.BootFileName != c.file || reply.MessageType() != c.kind || !reply.ServerIPAddr.Equal(s.address) ||
			!reply.YourIPAddr.IsUnspecified() || reply.TransactionID != m.TransactionID):
			t.Errorf("%s: %s", c.what, reply.Summary())
		}
	}
}

func TestMachineUUIDIsInTheOrderOfAPC(t *testing.T) {
	wire := []byte{0, 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	m := &dhcpv4.DHCPv4{Options: dhcpv4.OptionsFromList(dhcpv4.OptGeneric(dhcpv4.OptionClientMachineIdentifier, wire))}
	if got := machineUUID(m); got != "00112233-4455-6677-8899-aabbccddeeff" {
		t.Error(got)
	}
}

// ask sends a request as from an address.
func ask(s *server, method, path, from, body string, header http.Header) (int, string) {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.RemoteAddr = from + ":1234"
	for name, values := range header {
		req.Header[name] = values
	}
	w := httptest.NewRecorder()
	s.web().Handler.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

// A machine goes its way from the first script to being installed, and is left
// to its disk afterwards.
func TestOneMachine(t *testing.T) {
	s := testServer(t)
	const from, at = "192.0.2.100", "/m/52-54-00-00-00-ff/"
	get := func(name, want string) {
		t.Helper()
		if code, body := ask(s, "GET", at+name, from, "", nil); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %q; want %q", name, code, body, want)
		}
	}
	s.discovered("52:54:00:00:00:ff", "", firmwareIPXE)
	get("boot.ipxe", "chain --replace http://192.0.2.1/m/52-54-00-00-00-ff/as-${serial:uristring}.ipxe")
	get("grub.cfg", "smbios --type 1")
	get("as-RACK-1.ipxe", "root.img console=ttyS0 ashlar.answers=http://192.0.2.1/m/52-54-00-00-00-ff/answers.yaml ashlar.report=http://192.0.2.1/m/52-54-00-00-00-ff/report\n")
	get("as-RACK-1.cfg", "linux (http,192.0.2.1)/m/52-54-00-00-00-ff/vmlinuz console=ttyS0 ashlar.answers=")
	get("as-other.cfg", "exit")
	get("as-RACK%201.ipxe", "exit")
	get("as-RACK-1.ipxe", "boot\n")
	get("vmlinuz", "kernel")
	get("root.img", "root")
	get("answers.yaml", "hostname: template")
	if code, _ := ask(s, "GET", at+"manifest.json", from, "", nil); code != 404 {
		t.Errorf("a file that machines do not need: %d", code)
	}
	if got := s.registry.get("52:54:00:00:00:ff"); got.Phase != Answers || got.Name != "b" || got.Starts != 1 || got.Address != from {
		t.Errorf("status %+v", got)
	}
	get("grub.cfg", "linux ") // known by now
	if code, _ := ask(s, "POST", at+"report", "192.0.2.66", `{"schema":1,"phase":"installed"}`, nil); code != 403 {
		t.Errorf("a report from elsewhere: %d", code)
	}
	if code, _ := ask(s, "POST", at+"report", from, `{"schema":1}`, nil); code != 400 {
		t.Errorf("a report of nothing: %d", code)
	}
	if code, _ := ask(s, "POST", at+"report", from, `{"schema":1,"phase":"installing","step":"packages","done":1,"total":2}`, nil); code != 204 {
		t.Errorf("a report: %d", code)
	}
	if code, body := ask(s, "GET", "/status", from, "", nil); code != 200 || !strings.Contains(body, `"step": "packages"`) {
		t.Errorf("status: %d %s", code, body)
	}
	ask(s, "POST", at+"report", from, `{"schema":1,"phase":"installed"}`, nil)
	if s.discovered("52:54:00:00:00:ff", "", firmwareIPXE) {
		t.Error("an installed machine starts over the network")
	}
	if code, _ := ask(s, "POST", "/again/b", from, "", nil); code != 403 {
		t.Errorf("again, from a machine: %d", code)
	}
	if code, _ := ask(s, "POST", "/again/x", "192.0.2.1", "", nil); code != 404 {
		t.Errorf("again, of nobody: %d", code)
	}
	if code, _ := ask(s, "POST", "/again/b", "192.0.2.1", "", nil); code != 204 || !s.discovered("52:54:00:00:00:ff", "", firmwareIPXE) {
		t.Errorf("again: %d", code)
	}
}

// What firmware did not say, the installer says in headers.
func TestAnswersByHeaders(t *testing.T) {
	for _, c := range []struct {
		what   string
		header http.Header
		code   int
		name   string
	}{
		{"nothing known", nil, 404, ""},
		{"serial number", http.Header{report.HeaderSerial: {"RACK-3"}}, 200, "b"},
		{"UUID", http.Header{report.HeaderUUID: {"00112233-4455-6677-8899-AABBCCDDEEFF"}}, 200, "c"},
		{"another card", http.Header{report.HeaderMAC: {"52:54:00:00:00:01", "52:54:00:00:00:0a"}}, 200, "a"},
	} {
		s := testServer(t)
		code, body := ask(s, "GET", "/m/52-54-00-00-00-ff/answers.yaml", "192.0.2.100", "", c.header)
		if code != c.code || s.registry.get("52:54:00:00:00:ff").Name != c.name {
			t.Errorf("%s: %d %s", c.what, code, body)
		}
		if _, err := installer.ReadAnswers(write(t, "a.yaml", body)); code == 200 && err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestStateOutlivesTheServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	first, err := openRegistry(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	first.update("52:54:00:00:00:0a", func(s *Status) { s.Phase = Answers })
	first.reported("52:54:00:00:00:0a", report.Message{Phase: report.Installed})
	second, err := openRegistry(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := second.get("52:54:00:00:00:0a"); got.Finished.IsZero() {
		t.Errorf("after a restart: %+v", got)
	}
	if _, err := openRegistry(write(t, "x", "{"), nil); err == nil {
		t.Error("rubbish was taken as a state")
	}
}

func TestMadeUpMachinesAreBounded(t *testing.T) {
	r, err := openRegistry("", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxMachines {
		mac := net.HardwareAddr{2, 0, 0, 0, byte(i >> 8), byte(i)}
		if _, ok := r.update(mac.String(), func(*Status) {}); !ok {
			t.Fatalf("machine %d was refused", i)
		}
	}
	if _, ok := r.update("52:54:00:00:00:0a", func(*Status) {}); ok {
		t.Error("there is no bound")
	}
}
