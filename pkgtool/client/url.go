package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/pkgfile"
	"ashlar/repo/transport"
	"ashlar/repo/tuf"
)

// maxPackageAt bounds a package whose size no index states.
const maxPackageAt = 8 << 30

// FetchURL fetches a package file that somebody names by an http, https or file
// URL. No index vouches for it: all that is known of it is that it is a package;
// the caller has to check who signed it. One on this machine is used where it
// lies, others go to the cache, by content. progress may be nil; its total is -1
// if the server does not say. The caller closes the package.
func (c *Client) FetchURL(ctx context.Context, text string, progress Progress) (*pkgfile.Package, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fault.Mark(err, fault.Usage, "")
	}
	switch {
	case u.Scheme == "file" && u.Host == "" && filepath.IsAbs(u.Path):
		return pkgfile.OpenFile(u.Path)
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, fault.Errorf(fault.Usage, "fetch %s: use an http, https or file URL", u.Redacted())
	case c.opts.Offline:
		return nil, fault.Mark(fmt.Errorf("fetch %s: the network is not to be used", u.Redacted()), fault.Network, "leave out --offline")
	}
	path, err := c.download(ctx, u, progress)
	if err != nil {
		kind := tuf.KindOf(err)
		if kind == "" {
			kind = tuf.Unreachable
		}
		var local *transport.LocalError
		if errors.As(err, &local) || ctx.Err() != nil {
			return nil, fmt.Errorf("fetch %s: %w", u.Redacted(), err)
		}
		return nil, fault.Mark(fmt.Errorf("fetch %s: %s", u.Redacted(), tuf.Printable(err.Error())), kind.Class(), "check the URL and the network")
	}
	p, err := pkgfile.OpenFile(path)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", u.Redacted(), errors.Join(err, os.Remove(path)))
	}
	return p, nil
}

// download puts what u holds into the cache and returns where.
func (c *Client) download(ctx context.Context, u *url.URL, progress Progress) (string, error) {
	dir := filepath.Join(c.dirs.Cache, "packages")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", &transport.LocalError{Err: err}
	}
	file, err := os.CreateTemp(dir, "url.*.part")
	if err != nil {
		return "", &transport.LocalError{Err: err}
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var sum string
	err = c.opts.Limits.Retry(ctx, func() (err error) {
		sum, err = c.downloadOnce(ctx, u.String(), file, progress)
		return err
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, sum+pkgfile.MediaSuffix)
	if err := errors.Join(file.Chmod(0o644), file.Sync(), os.Rename(file.Name(), path)); err != nil {
		return "", &transport.LocalError{Err: err}
	}
	return path, nil
}

func (c *Client) downloadOnce(ctx context.Context, url string, file *os.File, progress Progress) (string, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", &transport.LocalError{Err: err}
	}
	if err := file.Truncate(0); err != nil {
		return "", &transport.LocalError{Err: err}
	}
	ctx, watch := transport.Watched(ctx, c.opts.Limits)
	defer watch.Stop()
	a, err := transport.GetURL(ctx, c.http, url)
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	if a.Length > maxPackageAt {
		return "", tuf.Refuse(tuf.Unbounded, "answer of %d bytes; at most %d are allowed", a.Length, int64(maxPackageAt))
	}
	body := &arriving{r: io.LimitReader(a.Body, maxPackageAt+1), watch: watch}
	hash := sha256.New()
	buffer := make([]byte, 128<<10)
	for done := int64(0); ; {
		n, err := body.Read(buffer)
		if done += int64(n); done > maxPackageAt {
			return "", tuf.Refuse(tuf.Unbounded, "more than the %d bytes allowed", int64(maxPackageAt))
		}
		hash.Write(buffer[:n])
		if _, err := file.Write(buffer[:n]); err != nil {
			return "", &transport.LocalError{Err: err}
		}
		if progress != nil {
			progress(done, a.Length)
		}
		switch {
		case err == io.EOF && a.Length >= 0 && done != a.Length:
			return "", transport.ErrTruncated
		case err == io.EOF:
			return hex.EncodeToString(hash.Sum(nil)), nil
		case err != nil:
			return "", transport.CauseOf(ctx, err)
		}
	}
}
