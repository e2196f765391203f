package store_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ashlar/pkgtool/system/store"

	"golang.org/x/sys/unix"
)

// fakeTest lets a child use a world.
type fakeTest struct {
	testing.TB
	name string
}

func (f fakeTest) Helper()           {}
func (f fakeTest) Cleanup(func())    {}
func (f fakeTest) Fatal(args ...any) { panic(f.name + ": " + fmt.Sprintln(args...)) }
func (f fakeTest) Errorf(format string, args ...any) {
	f.Fatal(fmt.Sprintf(format, args...))
}

func TestOrdinaryUser(t *testing.T) {
	runInNamespace(t, "user", t.TempDir(), 1000)
}

func ordinaryUser(dir string) error {
	w := newWorld(fakeTest{name: "ordinary user"}, dir)
	o := object("mine", 0o4755)
	if o.UID != 1000 {
		return fmt.Errorf("we are %d", o.UID)
	}
	o.Xattrs = map[string][]byte{"user.note": []byte("n")}
	w.check(w.Put(o, epoch, []byte("mine")))
	w.check(w.Link(o, w.dir, "a"))
	w.expectFile(w.tree("a"), "mine", o)
	read := object("read only", 0o444)
	w.check(w.Put(read, epoch, []byte("read only")))
	w.check(w.Link(read, w.dir, "b"))
	w.check(w.Adopt(read, w.dir, "b"))
	// What he cannot do is an error, and nothing is left.
	roots, capable := object("root's", 0o644), object("capable", 0o755)
	roots.UID, roots.GID = 0, 0
	capable.Xattrs = map[string][]byte{"trusted.x": []byte("x")}
	for o, content := range map[*store.Object]string{roots: "root's", capable: "capable"} {
		if err := w.Put(o, epoch, []byte(content)); err == nil || w.has(o) {
			return fmt.Errorf("%s: put: %v", content, err)
		}
	}
	if left := w.files(); len(left) != 2 {
		return fmt.Errorf("left: %q", left)
	}
	return nil
}

func TestFullDisk(t *testing.T) {
	runInNamespace(t, "full", t.TempDir(), 0)
}

func fullDisk(dir string) error {
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m,nr_inodes=100"); err != nil {
		return err
	}
	w := newWorld(fakeTest{name: "full disk"}, dir)
	big := strings.Repeat("0123456789abcdef", 2<<20/16)
	o := object(big, 0o644)
	writer, err := w.Create(o, epoch)
	w.check(err)
	for i := 0; i < len(big) && err == nil; i += 1 << 16 {
		_, err = writer.Write([]byte(big[i : i+1<<16]))
	}
	for what, err := range map[string]error{
		"written":  writer.Close(),
		"put":      w.Put(o, epoch, []byte(big)),
		"streamed": w.PutFrom(o, epoch, strings.NewReader(big)),
		"replaced": w.Replace(o, epoch, strings.NewReader(big)),
	} {
		if !errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("%s: %v", what, err)
		}
	}
	if left := w.files(); len(left) != 0 {
		return fmt.Errorf("left: %q", left)
	}
	small := object(big[:500_000], 0o644)
	w.check(w.Put(small, epoch, []byte(big[:500_000])))
	w.check(w.Link(small, w.dir, "small"))
	// The inodes end as well.
	made := len(w.files())
	for i := 0; err == nil || made < 2; i++ {
		content := fmt.Sprint("content ", i)
		if err = w.Put(object(content, 0o644), epoch, []byte(content)); err == nil {
			made++
		}
		if i == 200 {
			return errors.New("there are 200 inodes")
		}
	}
	if !errors.Is(err, unix.ENOSPC) || len(w.files()) != made {
		return fmt.Errorf("%w; %d of %d files", err, len(w.files()), made)
	}
	w.expectFile(w.tree("small"), big[:500_000], small)
	return nil
}

// ext4Dir returns a folder on ext4, which allows 65,000 links.
func ext4Dir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if st.Type == unix.EXT4_SUPER_MAGIC {
		return dir
	}
	if os.Geteuid() != 0 {
		t.Skip("neither on ext4 nor root, who can mount it")
	}
	image, mounted := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	if err := os.Mkdir(mounted, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"truncate", "-s", "32M", image},
		{"mkfs.ext4", "-q", "-F", "-N", "1000", image},
		{"mount", "-o", "loop", image, mounted},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mounted).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return mounted
}

// An object that cannot have more links gets a second inode, for everybody who
// links at the same moment too.
func TestMoreLinksThanTheFileSystemAllows(t *testing.T) {
	const most = 65000
	w := newWorld(t, ext4Dir(t))
	o := object("shared", 0o644)
	o.Xattrs = map[string][]byte{"user.note": []byte("n")}
	w.check(w.Put(o, epoch, []byte("shared")))
	for i := range most - 1 {
		w.check(unix.Link(w.path(o), w.tree(fmt.Sprint(i))))
	}
	if err := unix.Link(w.path(o), w.tree("more")); err != unix.EMLINK {
		t.Fatalf("one more link: %v", err)
	}
	errs := make(chan error)
	for i := range 8 {
		go func() { errs <- w.Link(o, w.dir, fmt.Sprint("more-", i)) }()
	}
	for range 8 {
		w.check(<-errs)
	}
	if st := w.stat(w.tree("more-0")); st.Nlink != 9 || st.Ino != w.stat(w.path(o)).Ino {
		t.Errorf("the second inode has %d links", st.Nlink)
	}
	w.expectFile(w.tree("more-7"), "shared", o)
	w.expectFile(w.tree("0"), "shared", o)
	w.check(w.Check(t.Context(), o))

	// A damaged object is not multiplied.
	for i := range most - 9 {
		w.check(unix.Link(w.path(o), w.tree(fmt.Sprint("again-", i))))
	}
	f, err := os.OpenFile(w.path(o), os.O_WRONLY, 0)
	w.check(err)
	_, err = f.WriteString("SHARED")
	w.check(errors.Join(err, f.Close()))
	if err := w.Link(o, w.dir, "last"); !errors.Is(err, store.ErrDiffers) {
		t.Errorf("linked a damaged object: %v", err)
	}
	if left := w.files(); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}
