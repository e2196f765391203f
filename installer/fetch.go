package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ashlar/installer/report"
	"ashlar/iso/volume"
	"ashlar/pkgtool/fault"
)

// AnswersParameter is the kernel parameter that names the answer file: a URL,
// a path, or [AnswersDrive].
const AnswersParameter = "ashlar.answers"

// maxAnswers bounds an answer file, in bytes.
const maxAnswers = 1 << 20

// Waits of [Fetch]: a network may come up late, and a server be busy with many.
const (
	fetchFor   = 2 * time.Minute
	fetchPause = 2 * time.Second
)

// KernelParameter returns the last value of a parameter on a kernel command
// line, a file like /proc/cmdline; "" if it is not there.
func KernelParameter(file, name string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the kernel command line: %w", err)
	}
	value := ""
	for _, word := range strings.Fields(string(text)) {
		if v, ok := strings.CutPrefix(word, name+"="); ok {
			value = v
		}
	}
	return value, nil
}

// Fetch writes the answer file that where names, a URL (http, https), a path or
// [AnswersDrive], to a file. It tells a server who the machine is, from what is below sys (/sys),
// and asks again for two minutes while there is no answer. Waiting is called
// with the reason before the first wait; it may be nil.
func Fetch(ctx context.Context, where, sys, file string, waiting func(error)) error {
	text, err := fetch(ctx, where, sys, waiting)
	if err != nil {
		return fmt.Errorf("get the answer file: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	// It can hold hashes of passwords.
	return os.WriteFile(file, text, 0o600)
}

func fetch(ctx context.Context, where, sys string, waiting func(error)) ([]byte, error) {
	if where == AnswersDrive {
		return fromDrive(ctx, filepath.Join(sys, "class/block"), "/dev")
	}
	if !strings.HasPrefix(where, "http://") && !strings.HasPrefix(where, "https://") {
		f, err := os.Open(where)
		if err != nil {
			return nil, fault.Mark(err, fault.Usage, AnswersParameter+" is a URL with http or https, or a path")
		}
		defer f.Close()
		return readAnswers(f)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, fetchFor, fmt.Errorf("no answer for %v", fetchFor))
	defer cancel()
	for {
		text, again, err := request(ctx, where, sys)
		if err == nil || !again {
			return text, err
		}
		if waiting != nil {
			waiting(err)
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, fault.Mark(fmt.Errorf("%w: %w", context.Cause(ctx), err), fault.Network, "see whether the network is up: ip address; and whether the server is: "+where)
		case <-time.After(fetchPause):
		}
	}
}

// AnswersDrive as the value of [AnswersParameter] means a drive with the label
// [AnswersLabel], whose file [AnswersName] is the answer file.
const (
	AnswersDrive = "drive"
	AnswersLabel = "ANSWERS"
	AnswersName  = "answers.yaml"
)

// driveTimeout is how long a drive may take to appear.
const driveTimeout = 20 * time.Second

// fromDrive reads the answer file of the drive that is labelled for it. Two with
// different ones are an error: nobody knows which is meant.
func fromDrive(ctx context.Context, sys, dev string) ([]byte, error) {
	for end := time.Now().Add(driveTimeout); ; {
		drives, err := volume.Find(sys, dev, AnswersLabel)
		if err != nil {
			return nil, err
		}
		if len(drives) > 0 {
			return readDrives(drives)
		}
		if time.Now().After(end) {
			return nil, fault.Errorf(fault.Usage, "no drive has the label %s; give a FAT, ext or ISO 9660 file system this label, and put %s there", AnswersLabel, AnswersName)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second / 2):
		}
	}
}

func readDrives(drives []volume.Volume) (text []byte, err error) {
	for _, d := range drives {
		err := d.Read(func(files fs.FS) error {
			f, err := files.Open(AnswersName)
			if err != nil {
				return fmt.Errorf("drive %s: %w", d.Device, err)
			}
			defer f.Close()
			this, err := readAnswers(f)
			if err == nil && text != nil && !bytes.Equal(this, text) {
				err = fault.Errorf(fault.Usage, "%s and %s have the label %s both, and their %s differ; take one out", drives[0].Device, d.Device, AnswersLabel, AnswersName)
			}
			text = this
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return text, nil
}

// request asks once, and says whether asking again can help.
func request(ctx context.Context, url, sys string) (text []byte, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, false, fault.Mark(err, fault.Usage, "")
	}
	identify(req.Header, sys)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, true, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		err := fault.Errorf(fault.Network, "%s: %s: %s", url, resp.Status, strings.TrimSpace(string(why)))
		return nil, resp.StatusCode >= 500, err
	}
	text, err = readAnswers(resp.Body)
	return text, err != nil && !errors.Is(err, errTooLong), err
}

var errTooLong = fmt.Errorf("it has more than %d bytes, which no answer file has", maxAnswers)

func readAnswers(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxAnswers+1))
	if err == nil && len(text) > maxAnswers {
		err = errTooLong
	}
	return text, err
}

// identify puts into a request's headers what the machine is known by.
func identify(h http.Header, sys string) {
	add := func(name, file string) {
		text, err := os.ReadFile(file)
		value := strings.TrimSpace(string(text))
		if err == nil && value != "" && len(value) < 200 && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			h.Add(name, value)
		}
	}
	add(report.HeaderSerial, filepath.Join(sys, "class/dmi/id/product_serial"))
	add(report.HeaderUUID, filepath.Join(sys, "class/dmi/id/product_uuid"))
	cards, _ := filepath.Glob(filepath.Join(sys, "class/net/*/address"))
	for _, card := range cards {
		if filepath.Base(filepath.Dir(card)) != "lo" {
			add(report.HeaderMAC, card)
		}
	}
}
