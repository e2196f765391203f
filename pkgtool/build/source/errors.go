package source

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"ashlar/pkgtool/fault"
)

// Attempt is one place where a source was looked for, and what came of it.
type Attempt struct {
	Where   string // redacted
	Outcome error
}

// FetchError tells why a source could not be had: every place and its outcome.
type FetchError struct {
	Source string
	Tried  []Attempt
}

func (e *FetchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "source %s could not be fetched", e.Source)
	for _, a := range e.Tried {
		fmt.Fprintf(&b, "\n  %s: %v", a.Where, a.Outcome)
	}
	return b.String()
}

// Unwrap returns the outcomes.
func (e *FetchError) Unwrap() []error {
	var all []error
	for _, a := range e.Tried {
		all = append(all, a.Outcome)
	}
	return all
}

// WrongSumError means that a place served other bytes than the pinned ones.
type WrongSumError struct {
	Got, Want string
}

func (e *WrongSumError) Error() string {
	return fmt.Sprintf("wrong sum: got %s, want %s", e.Got, e.Want)
}

// StatusError is an HTTP answer other than the wanted one.
type StatusError struct {
	Code int
	Text string
}

func (e *StatusError) Error() string { return e.Text }

func fetchError(s Source, tried []Attempt, place string) error {
	err := &FetchError{s.Name(), tried}
	var sum *WrongSumError
	if errors.As(err, &sum) {
		return fault.Mark(err, fault.Security,
			"do not change the pinned sum before you know why the bytes differ; ask another mirror, or the source's author")
	}
	if class := fault.ClassOf(err); class == fault.Security || class == fault.Usage {
		return fault.Mark(err, class, "") // with the outcome's own remedy
	}
	hint := "check the network, or put the file there by hand: " + place
	var status *StatusError
	if errors.As(err, &status) && status.Code == 404 {
		hint = "a mirror drops files that a newer release replaces: add a mirror that keeps them to mirrors.yaml, or put the file there by hand: " + place
	}
	return fault.Mark(err, fault.Network, hint)
}

// plain drops the URL that net/http puts into its errors: it can hold a token.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
