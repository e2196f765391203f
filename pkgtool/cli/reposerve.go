package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"ashlar/pkgtool/fault"
	"ashlar/repo/serve"
	"ashlar/repo/web"

	"github.com/spf13/cobra"
)

// serveFlags are what `repo serve` was told.
type serveFlags struct {
	listen            []string
	cert, key         string
	url               string
	noWeb             bool
	log, logFormat    string
	metrics           string
	limits            serve.Limits
	listenWasAskedFor bool
}

func repoServe(app *App) *cobra.Command {
	var o serveFlags
	cmd := &cobra.Command{
		Use: "serve DIR", Short: "Serve a repository and its web page until interrupted, read-only", Args: cobra.ExactArgs(1),
		Long: `Serves the published files of a repository, a web page about it, and nothing else
of the folder. The first line on stdout is the URL; with port 0 the system
chooses one. Any other web server does as well: the files need none of this
program.

An address is HOST:PORT, or begins with http:// or https://; without either it
is https if there is a certificate. Certificate and key are read again when they
change. Sockets that systemd passes take the place of --listen; those named
https and metrics are for that.

Each request is a line on stderr, unless --quiet, or in the file of --log, which
may be moved away at any time. The defaults of the limits suit a machine with
1 GiB; a client that meets one can go to another mirror.

SIGTERM or Ctrl-C ends it: running downloads get --stop-timeout to finish.`,
		Example: `  pkgtool repo serve build/repo --listen 127.0.0.1:0
  pkgtool repo serve /srv/repo --listen :80 --listen https://:443 --cert chain.pem --key key.pem --log /var/log/repo.log
  pkgtool repo serve /srv/repo --metrics 127.0.0.1:9100 --quiet`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.listenWasAskedFor = cmd.Flags().Changed("listen")
			return app.repoServe(cmd.Context(), args[0], &o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.listen, "listen", []string{"127.0.0.1:8080"}, "address and port; may be repeated")
	f.StringVar(&o.cert, "cert", "", "file of the certificate and its chain, for https")
	f.StringVar(&o.key, "key", "", "file of the certificate's key")
	f.StringVar(&o.url, "url", "", "where clients reach the repository, for the web page (default: what the visitor's browser says)")
	f.BoolVar(&o.noWeb, "no-web", false, "serve no web page, only files")
	f.StringVar(&o.log, "log", "", "file for a line per request (default: stderr)")
	f.StringVar(&o.logFormat, "log-format", "combined", "combined or json")
	f.StringVar(&o.metrics, "metrics", "", "address and port for Prometheus, at /metrics")
	d := serve.Limits{}.OrDefault()
	f.IntVar(&o.limits.Connections, "max-connections", d.Connections, "connections at once")
	f.IntVar(&o.limits.PerAddress, "max-per-address", 0, "connections at once from one address (default half of --max-connections)")
	f.IntVar(&o.limits.Requests, "max-requests", d.Requests, "requests on one connection")
	f.Int64Var(&o.limits.MinimumRate, "minimum-rate", d.MinimumRate, "bytes per second below which a download is cut off")
	f.DurationVar(&o.limits.Idle, "idle-timeout", d.Idle, "how long a connection may wait between requests")
	f.DurationVar(&o.limits.Stop, "stop-timeout", d.Stop, "how long running downloads may go on at the end")
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{"combined", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *App) repoServe(ctx context.Context, dir string, o *serveFlags) error {
	options := serve.Options{Limits: o.limits, Errors: a.Err, Metrics: serve.NewMetrics()}
	if (o.cert == "") != (o.key == "") {
		return fault.Errorf(fault.Usage, "--cert and --key go together")
	}
	if o.cert != "" {
		cert, err := serve.OpenCertificate(o.cert, o.key, func(err error) { fmt.Fprintln(screen{a.Err}, "pkgtool:", err) })
		if err != nil {
			return err
		}
		options.TLS = cert.Config()
	}
	var err error
	if options.Log, err = a.accessLog(o); err != nil {
		return err
	}
	if !o.noWeb {
		site := web.New(ctx, dir, web.Options{URL: o.url})
		defer site.Close()
		options.Web = site
	}
	s, err := serve.New(dir, options)
	if err != nil {
		return err
	}
	defer s.Close()
	listeners, metrics, err := o.listeners()
	if err != nil {
		return err
	}
	defer closeAll(listeners, metrics)
	result := map[string]any{"schema": 1}
	var urls []string
	for _, l := range listeners {
		urls = append(urls, urlOf(l))
	}
	result["url"], result["urls"] = urls[0], urls
	if metrics != nil {
		result["metrics"] = "http://" + metrics.Addr().String() + "/metrics"
	}
	if err := a.Print(result, func(w io.Writer) { fmt.Fprintln(w, strings.Join(urls, "\n")) }); err != nil {
		return err
	}
	defer serve.Tune()()
	if metrics != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			defer cancel()
			failed <- options.Metrics.Serve(ctx, metrics)
		}()
		err := s.Serve(ctx, listeners...)
		cancel()
		return errors.Join(err, <-failed)
	}
	return s.Serve(ctx, listeners...)
}

func (a *App) accessLog(o *serveFlags) (*serve.Log, error) {
	if o.logFormat != "combined" && o.logFormat != "json" {
		return nil, fault.Errorf(fault.Usage, "--log-format is combined or json, not %q", o.logFormat)
	}
	asJSON := o.logFormat == "json"
	if o.log != "" {
		l, err := serve.OpenLog(o.log, asJSON)
		return l, fault.Mark(err, fault.Usage, "")
	}
	if a.Quiet {
		return nil, nil
	}
	return serve.NewLog(a.Err, asJSON), nil
}

// listeners opens the addresses, or takes what systemd passes.
func (o *serveFlags) listeners() (list []serve.Listener, metrics net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(list, metrics)
		}
	}()
	passed, err := serve.Passed()
	if err != nil {
		return nil, nil, err
	}
	for _, p := range passed {
		if p.Name == "metrics" {
			metrics = p.Listener
			continue
		}
		list = append(list, serve.Listener{Listener: p.Listener, TLS: p.Name == "https"})
	}
	if len(list) == 0 || o.listenWasAskedFor {
		for _, where := range o.listen {
			l, err := listenAt(where, o.cert != "")
			if err != nil {
				return list, metrics, err
			}
			list = append(list, l)
		}
	}
	for _, l := range list {
		if l.TLS && o.cert == "" {
			return list, metrics, fault.Errorf(fault.Usage, "https at %s needs --cert and --key", l.Addr())
		}
	}
	if o.metrics != "" {
		l, err := listenAt(o.metrics, false)
		if err != nil {
			return list, metrics, err
		}
		metrics = l.Listener
	}
	return list, metrics, nil
}

func listenAt(where string, secure bool) (serve.Listener, error) {
	address := where
	if rest, ok := strings.CutPrefix(where, "http://"); ok {
		address, secure = rest, false
	} else if rest, ok := strings.CutPrefix(where, "https://"); ok {
		address, secure = rest, true
	}
	l, err := net.Listen("tcp", strings.TrimSuffix(address, "/"))
	if err != nil {
		return serve.Listener{}, fault.Mark(fmt.Errorf("serve at %s: %w", where, err), fault.Network, "choose another address with --listen")
	}
	return serve.Listener{Listener: l, TLS: secure}, nil
}

func urlOf(l serve.Listener) string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	if l.TLS {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

func closeAll(list []serve.Listener, metrics net.Listener) {
	for _, l := range list {
		l.Close()
	}
	if metrics != nil {
		metrics.Close()
	}
}
