package elsewhere

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	MaybeEnter()
	if len(os.Args) > 2 && os.Args[1] == "look" {
		look(os.Args[2])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// look tells how things are, and writes into a folder.
func look(dir string) {
	host, _ := os.Hostname()
	old, err := os.ReadFile(filepath.Join(dir, "secret"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "new"), nil, 0o666)
	}
	fmt.Printf("user %d host %s cores %d TZ %s umask %03o read %q error %v\n",
		os.Getuid(), host, runtime.NumCPU(), os.Getenv("TZ"), unix.Umask(0), old, err)
	if len(os.Args) > 3 {
		time.Sleep(time.Minute)
	}
}

func TestStranger(t *testing.T) {
	if !Stranger() {
		t.Skip("only root can be somebody else")
	}
	private := filepath.Join(t.TempDir(), "private")
	as := filepath.Join(Base(), "shown")
	if err := errors.Join(os.Mkdir(private, 0o700), os.WriteFile(private+"/secret", []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := Run(t.Context(), Order{
		Args: []string{"look", as}, Env: Environ("/tmp"), Dir: "/", Umask: 0o077, CPUs: 1,
		User: Nobody, HostName: "far-away", Shows: []Show{{private, as}},
	}, &out, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	want := "user 65534 host far-away cores 1 TZ Pacific/Kiritimati umask 077 read \"x\" error <nil>\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
	var st unix.Stat_t
	if err := unix.Stat(private+"/new", &st); err != nil || st.Uid != 0 || st.Mode&0o777 != 0o600 {
		t.Errorf("what it wrote: user %d, mode %o, %v", st.Uid, st.Mode, err)
	}
	if _, err := os.Lstat(as); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the host sees it: %v", err)
	}
}

func TestFailureAndEnd(t *testing.T) {
	var out bytes.Buffer
	err := Run(t.Context(), Order{Args: []string{"look", "/"}, Dir: "/nowhere"}, &out, &out)
	if err == nil || !strings.Contains(out.String(), "/nowhere") {
		t.Errorf("%v: %s", err, out.String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	err = Run(ctx, Order{Args: []string{"look", "/", "and sleep"}}, &out, &out)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}
