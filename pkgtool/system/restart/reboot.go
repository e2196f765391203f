package restart

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// reasons returns what only a reboot can bring up to date.
func (s *system) reasons(old []Process) ([]string, error) {
	why := []string{}
	libc := 0
	for _, p := range old {
		if p.PID == 1 {
			why = append(why, fmt.Sprintf("the first process (%s) uses old files", p.Name))
		}
		if slices.ContainsFunc(p.Files, isLibc) {
			libc++
		}
	}
	if libc > 0 {
		why = append(why, fmt.Sprintf("%d processes use an old C library", libc))
	}
	if s.root != "" {
		return why, nil
	}
	kernel, err := newerKernel("/usr/lib/modules")
	if err != nil {
		return nil, err
	}
	return append(why, kernel...), nil
}

var libcForm = regexp.MustCompile(`/(libc\.so\.6|libc\.musl-[^/]*|ld-[^/]*\.so[^/]*)$`)

func isLibc(path string) bool { return libcForm.MatchString(path) }

// newerKernel compares the running kernel with the installed ones of its
// flavour: folders with a vmlinuz in them.
func newerKernel(modules string) ([]string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(modules)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var installed []string
	for _, e := range entries {
		if _, err := os.Lstat(modules + "/" + e.Name() + "/vmlinuz"); err == nil {
			installed = append(installed, e.Name())
		}
	}
	return kernelReasons(unix.ByteSliceToString(name.Release[:]), installed), nil
}

func kernelReasons(running string, installed []string) []string {
	newest := ""
	for _, release := range installed {
		if flavour(release) == flavour(running) && (newest == "" || compareReleases(release, newest) > 0) {
			newest = release
		}
	}
	// Another kernel than ours runs here, as in a container or a virtual machine.
	if newest == "" || newest == running {
		return nil
	}
	return []string{fmt.Sprintf("kernel %s runs, %s is installed", running, newest)}
}

var digits = regexp.MustCompile(`[0-9]+`)

// flavour is the text of a kernel's release without its numbers.
func flavour(release string) string {
	_, text, _ := strings.Cut(release, "-")
	return digits.ReplaceAllString(text, "")
}

// compareReleases compares the numbers in two releases of one flavour, those of
// the version first.
func compareReleases(a, b string) int {
	versionA, restA, _ := strings.Cut(a, "-")
	versionB, restB, _ := strings.Cut(b, "-")
	return cmp.Or(slices.Compare(numbers(versionA), numbers(versionB)), slices.Compare(numbers(restA), numbers(restB)))
}

func numbers(text string) (list []uint64) {
	for _, s := range digits.FindAllString(text, -1) {
		n, _ := strconv.ParseUint(s, 10, 64) // one that is too large becomes the largest
		list = append(list, n)
	}
	return list
}
