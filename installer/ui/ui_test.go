package ui

import (
	"bytes"
	"context"
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ashlar/installer"
	"ashlar/iso"
	"ashlar/pkgtool/fault"

	"github.com/creack/pty"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/sys/unix"
)

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUbmSXr7bQTHm6Rr2nUkGnpcYxTQ1AVSRMqR0JjPRBm ada@example"

var facts = Facts{
	TPM: true,
	Disks: []installer.Disk{
		{Path: "/dev/sda", Size: 100 << 30, Model: "Old", Holds: "a GPT partition table"},
		{Path: "/dev/vda", Size: 8 << 30, Model: "New", Serial: "S*1"},
		{Path: "/dev/vdb", Size: 8 << 30, Mounted: "/"},
	},
	Hostname: "ashlar",
	Packages: []string{"linux-virt", "grub", "busybox"},
	Offers:   []Offer{{"nginx", "web server"}, {"dropbear", "SSH"}},
}

// person is somebody at a terminal.
type person struct {
	t        *testing.T
	terminal *os.File
	mu       sync.Mutex
	seen     bytes.Buffer
	taken    int
}

// sit runs ask on a new terminal; size is 0 for one that does not know.
func sit(t *testing.T, rows, columns uint16) (*person, *os.File) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	if err := pty.Setsize(slave, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, terminal: master}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			p.mu.Lock()
			p.seen.Write(b[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p, slave
}

var escapes = regexp.MustCompile(`\x1b(\[[0-9;?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>])`)

// text is what was shown since the last words that were waited for.
func (p *person) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return escapes.ReplaceAllString(p.seen.String()[p.taken:], "")
}

// waits for words, and then types.
func (p *person) waits(words, types string) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if strings.Contains(p.text(), words) {
			break
		}
		if time.Now().After(end) {
			p.t.Fatalf("%q was not shown:\n%s", words, p.text())
		}
	}
	p.mu.Lock()
	p.taken = p.seen.Len()
	p.mu.Unlock()
	if _, err := p.terminal.WriteString(types); err != nil {
		p.t.Fatal(err)
	}
}

type result struct {
	answers  *installer.Answers
	decision Decision
	err      error
}

func ask(ctx context.Context, terminal Terminal) chan result { return askOf(ctx, terminal, facts) }

func askOf(ctx context.Context, terminal Terminal, facts Facts) chan result {
	done := make(chan result, 1)
	go func() {
		a, d, err := Ask(ctx, terminal, facts)
		done <- result{a, d, err}
	}()
	return done
}

func (p *person) ends(done chan result) result {
	p.t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(30 * time.Second):
		p.t.Fatalf("no end:\n%s", p.text())
		return result{}
	}
}

// check compares the answers with what all these people say.
func check(t *testing.T, r result, decision Decision) {
	t.Helper()
	if r.err != nil || r.decision != decision {
		t.Fatalf("%q, %v", r.decision, r.err)
	}
	hash := r.answers.System.RootPasswordHash
	digest, err := shacrypt.Decode(hash)
	if err != nil {
		t.Fatalf("hash %q: %v", hash, err)
	}
	if !digest.Match("correct horse") {
		t.Errorf("the hash %q is not that of the password", hash)
	}
	want := &installer.Answers{Version: 1, Packages: []string{"linux-virt", "grub", "busybox", "dropbear"}}
	want.System = installer.Host{Hostname: "node1", RootPasswordHash: hash}
	want.Storage = installer.Storage{Disk: installer.Match{Serial: `S\*1`}, Layout: "luks+lvm", Filesystem: "xfs", Swap: "1G", LUKS: installer.LUKS{TPM2: &installer.TPM2{}}}
	want.System.Timezone = "Europe/Berlin"
	want.Users = []iso.User{{Name: "root", SSHKeys: []string{sshKey}}}
	if err := want.Validate(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r.answers, want) {
		t.Errorf("answers %+v; want %+v", r.answers, want)
	}
}

func TestLineByLine(t *testing.T) {
	p, terminal := sit(t, 0, 0)
	if !NeedsPlain(terminal, terminal, "vt100") {
		t.Error("a serial line gets forms")
	}
	done := ask(t.Context(), Terminal{terminal, terminal, true})
	p.waits("Enter a number between 1 and 2: ", "3\n")
	p.waits("must be a number between 1 and 2", "1\n")
	p.waits("The system is on", "4\n")
	p.waits("File system", "2\n")
	p.waits("Swap", "lots\n")
	p.waits("is not a size", "1G\n")
	p.waits("The disk is opened by", "\n")
	p.waits("Host name [ashlar]: ", "Node_1\n")
	p.waits("has small letters", "node1\n")
	p.waits("Time zone", "Berlin!\n")
	p.waits("has a form that none has", "Europe/Berlin\n")
	p.waits("SSH key of root", "AAAA\n")
	p.waits("is not a public key", sshKey+"\n")
	p.waits("Password of root: ", "short\n")
	p.waits("at least 8 characters", "correct horse\n")
	p.waits("The same again: ", "wrong horse\n")
	p.waits("it is not the same", "correct horse\n")
	p.waits("an empty line for nothing: ", "3\n")
	p.waits("3 is no number between 1 and 2", "2\n")
	p.waits("Enter a number between 1 and 3: ", "1\n")
	p.waits("Type vda to install on it: ", "sda\n")
	p.waits("to install, type vda", "vda\n")
	check(t, p.ends(done), Install)
	p.mu.Lock()
	defer p.mu.Unlock()
	shown := p.seen.String()
	if strings.Contains(shown, "horse") {
		t.Error("a password was shown")
	}
	if strings.Contains(shown, "\x1b") {
		t.Errorf("a dumb terminal was sent escapes:\n%q", shown)
	}
	if strings.ContainsFunc(shown, func(r rune) bool { return r > '~' }) {
		t.Errorf("a dumb terminal was sent signs that are not ASCII:\n%s", shown)
	}
	if !strings.Contains(shown, "write a GPT partition table to /dev/vda (8.0 GiB)") {
		t.Errorf("the plan was not shown:\n%s", shown)
	}
}

// watched is a terminal that notes whether what is typed would be shown when the
// question for a secret appears.
type watched struct {
	*os.File
	t     *testing.T
	asked int
}

func (w *watched) Write(p []byte) (int, error) {
	for _, question := range []string{"Password of root:", "The same again:"} {
		if !bytes.Contains(p, []byte(question)) {
			continue
		}
		w.asked++
		state, err := unix.IoctlGetTermios(int(w.Fd()), unix.TCGETS)
		if err != nil || state.Lflag&unix.ECHO != 0 {
			w.t.Errorf("%s was asked while what is typed is shown (%v)", question, err)
		}
	}
	return w.File.Write(p)
}

// A password is not shown even if it comes as soon as the question is there.
func TestPasswordAtOnce(t *testing.T) {
	p, terminal := sit(t, 0, 0)
	out := &watched{File: terminal, t: t}
	done := ask(t.Context(), Terminal{terminal, out, true})
	p.waits("Enter a number between 1 and 2: ", "1\n")
	p.waits("The system is on", "\n")
	p.waits("File system", "\n")
	p.waits("Swap", "\n")
	p.waits("Host name [ashlar]: ", "\n")
	p.waits("Time zone", "\n")
	p.waits("SSH key of root", "\n")
	p.waits("Password of root: ", "correct horse\n")
	p.waits("The same again: ", "correct horse\n")
	p.waits("an empty line for nothing: ", "\n")
	p.waits("Enter a number between 1 and 3: ", "2\n")
	if r := p.ends(done); r.err != nil {
		t.Error(r.err)
	}
	if out.asked != 2 {
		t.Errorf("asked for %d secrets; want 2", out.asked)
	}
	if state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS); err != nil || state.Lflag&unix.ECHO == 0 {
		t.Errorf("afterwards what is typed is not shown (%v)", err)
	}
}

// Who presses return all the way gets what was proposed; a script need not wait.
func TestDefaultsFromAScript(t *testing.T) {
	var out bytes.Buffer
	in := strings.NewReader(strings.Repeat("\n", 10) + "2\n")
	a, decision, err := Ask(t.Context(), Terminal{in, &out, true}, facts)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if decision != Save || a.System.Hostname != "ashlar" || a.System.RootPasswordHash != "" || a.Erase || len(a.Packages) != 3 {
		t.Errorf("%q: %+v\n%s", decision, a, &out)
	}
}

func TestLeaving(t *testing.T) {
	_, _, err := Ask(t.Context(), Terminal{strings.NewReader("\n"), &bytes.Buffer{}, true}, facts)
	if !errors.Is(err, ErrAborted) || fault.ClassOf(err) != fault.Interrupted {
		t.Errorf("the input ended: %v", err)
	}
	p, terminal := sit(t, 24, 80)
	done := ask(t.Context(), Terminal{terminal, terminal, false})
	p.waits("Install on", "\x03")
	if r := p.ends(done); !errors.Is(r.err, ErrAborted) {
		t.Errorf("Ctrl-C: %v", r.err)
	}
	a, decision, err := Ask(t.Context(), Terminal{strings.NewReader(strings.Repeat("\n", 10) + "3\n"), &bytes.Buffer{}, true}, facts)
	if a != nil || decision != Quit || err != nil {
		t.Errorf("quit: %+v, %q, %v", a, decision, err)
	}
}

func TestForms(t *testing.T) {
	p, terminal := sit(t, 30, 100)
	if NeedsPlain(terminal, terminal, "xterm") || !NeedsPlain(terminal, terminal, "dumb") {
		t.Error("the terminal was judged wrong")
	}
	done := ask(t.Context(), Terminal{terminal, terminal, false})
	p.waits("Install on", "\r")
	p.waits("The system is on", "jjj")
	p.waits("> logical volumes on", "\r")
	p.waits("File system", "\x1b[B\r")
	p.waits("Swap", "1G\r")
	p.waits("The disk is opened by", "\r")
	p.waits("Host name", "\x15node1\r")
	p.waits("Time zone", "Europe/Berlin\r")
	p.waits("SSH key of root", sshKey+"\r")
	p.waits("Password of root", "correct horse\r")
	p.waits("The same again", "correct horse\r")
	p.waits("Install besides", "\x1b[B \r")
	p.waits("only write the answer file", "\x1b[B\r")
	check(t, p.ends(done), Save)
}

func TestNoDisk(t *testing.T) {
	_, _, err := Ask(t.Context(), Terminal{strings.NewReader(""), &bytes.Buffer{}, true}, Facts{Disks: facts.Disks[2:]})
	if err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("%v", err)
	}
}

func TestAtMostEightScreens(t *testing.T) {
	if n := len(newChoices(facts).screens(style{})); n > 8 {
		t.Errorf("%d screens", n)
	}
}

func TestProgress(t *testing.T) {
	at := time.Unix(0, 0)
	for _, c := range []struct {
		plain bool
		want  string
	}{
		{true, "[0:00] 1. fetch\n[0:20] 2. write\n[0:30]     25 %, 0:30 left\n[0:50]    100 %\n"},
		{false, "[0:00] 1. fetch\n[0:20] 2. write\n\r\033[K           ........................   1 %\r\033[K           ######..................  25 %, 0:30 left" +
			"\r\033[K           ######..................  25 %, 0:30 left\r\033[K           ######################## 100 %\r\033[K"},
	} {
		var out bytes.Buffer
		p := NewProgress(&out, c.plain)
		p.now = func() time.Time { return at }
		p.begin = at
		p.Step("fetch")
		at = at.Add(20 * time.Second)
		p.Step("write")
		p.Update(10, 1000)
		at = at.Add(10 * time.Second)
		p.Update(250, 1000)
		p.Update(251, 1000)
		if !c.plain {
			at = at.Add(100 * time.Millisecond)
			p.Update(251, 1000)
			at = at.Add(-100 * time.Millisecond)
		}
		at = at.Add(20 * time.Second)
		p.Update(1000, 1000)
		p.End()
		if out.String() != c.want {
			t.Errorf("plain %v: %q\nwant %q", c.plain, out.String(), c.want)
		}
		at = time.Unix(0, 0)
	}
}

// Where the firmware takes a key, a person is asked; the TPM cannot be bound to what
// changes with the next start.
func TestSecureBootIsAsked(t *testing.T) {
	p, terminal := sit(t, 0, 0)
	of := facts
	of.Setup = true
	done := askOf(t.Context(), Terminal{terminal, terminal, true}, of)
	p.waits("Enter a number between 1 and 2: ", "1\n")
	p.waits("The system is on", "3\n")
	p.waits("File system", "1\n")
	p.waits("Swap", "\n")
	p.waits("The disk is opened by", "1\n")
	p.waits("Host name", "node1\n")
	p.waits("Time zone", "\n")
	p.waits("SSH key of root", "\n")
	p.waits("Secure Boot", "2\n")
	p.waits("changes PCR 7", "1\n")
	p.waits("Password of root", "\n")
	p.waits("The same again", "\n")
	p.waits("Install besides", "\n")
	p.waits("Now", "2\n")
	if r := p.ends(done); r.err != nil || r.decision != Save || r.answers.Boot.SecureBoot != nil {
		t.Errorf("%+v", r)
	}
	c := newChoices(of)
	c.secureBoot = true
	if a, err := c.answers(); err != nil || a.Boot.SecureBoot == nil || !*a.Boot.SecureBoot {
		t.Errorf("%+v, %v", a, err)
	}
}
