package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func serveCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "serve --config FILE",
		Short: "the portal, the CA for agents, status services and health",
		Long: `serve runs everything in one process until it is told to stop. It prints a line "listening NAME ADDRESS" for each
listener and then "ready". Logs go to standard error.`,
		Example: `  customs-ca serve --config ca/customs-ca.yaml`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd.Context(), func(b *books) error {
				h, err := b.build(cmd.Context())
				if err != nil {
					return err
				}
				return h.serve(cmd.Context(), cmd.OutOrStdout())
			})
		},
	}
}

// listener is one address and what answers there.
type listener struct {
	name, address string
	handler       http.Handler
	tls           *tls.Config
}

func (h *house) listeners() ([]listener, error) {
	web := listener{name: "web", address: h.config.Listen.Web, handler: h.portal}
	if h.config.WebTLS.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(h.config.path(h.config.WebTLS.Certificate), h.config.path(h.config.WebTLS.Key))
		if err != nil {
			return nil, fmt.Errorf("web-tls: %w", err)
		}
		web.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	}
	server := tls.Certificate{Certificate: [][]byte{h.keys.server.Raw}, PrivateKey: h.keys.serverKey, Leaf: h.keys.server}
	return []listener{
		web,
		// No client certificate is asked for: a key that this CA certified gives no rights here.
		{"ca", h.config.Listen.CA, h.issuer.Handler(), &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{server}}},
		{"status", h.config.Listen.Status, h.status.Handler(), nil},
		{"admin", h.config.Listen.Admin, h.admin(), nil},
	}, nil
}

// How long the other side may take. A document of the largest size passes over a slow line in ReadTimeout.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 2 * time.Minute
	writeTimeout  = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 10 * time.Second
)

// serve listens, answers, and returns when ctx is done or a listener fails.
func (h *house) serve(ctx context.Context, out io.Writer) error {
	all, err := h.listeners()
	if err != nil {
		return err
	}
	if err := h.status.Publish(ctx); err != nil {
		return err
	}
	var servers []*http.Server
	var open []net.Listener
	for _, l := range all {
		n, err := net.Listen("tcp", l.address)
		if err != nil {
			for _, o := range open {
				_ = o.Close()
			}
			return hint(fmt.Errorf("listen %s: %w", l.name, err), "set listen.%s in the configuration to a free address", l.name)
		}
		open = append(open, n)
		servers = append(servers, &http.Server{
			Handler: counted(l.name, l.handler), TLSConfig: l.tls, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
			WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
			ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
		})
	}
	failed := make(chan error, len(all))
	for i, l := range all {
		scheme := "http"
		run := servers[i].Serve
		if l.tls != nil {
			scheme = "https"
			run = func(n net.Listener) error { return servers[i].ServeTLS(n, "", "") }
		}
		fmt.Fprintf(out, "listening %s %s://%s\n", l.name, scheme, open[i].Addr())
		go func() {
			if err := run(open[i]); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", l.name, err)
			}
		}()
	}
	chores := make(chan struct{})
	choring, cancel := context.WithCancel(ctx)
	go func() { defer close(chores); h.chores(choring) }()
	fmt.Fprintln(out, "ready")

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	stopping, done := context.WithTimeout(context.Background(), stopTimeout)
	defer done()
	for _, s := range servers {
		if stop := s.Shutdown(stopping); stop != nil {
			err = errors.Join(err, s.Close())
		}
	}
	<-chores
	return err
}

// chores does what must be done at times: CRLs, interrupted issues, e-mail, the responder's certificate.
func (h *house) chores(ctx context.Context) {
	mail, err := h.mailer()
	if err != nil {
		h.log.Error("smtp", "error", err)
	}
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	often := time.NewTicker(5 * time.Second)
	defer often.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-often.C:
			if mail != nil {
				h.attend("mail", mail.send(ctx, h.ledger))
			}
		case now := <-minute.C:
			h.attend("crl", h.status.Publish(ctx))
			h.attend("recovery", h.issuer.Recover(ctx, time.Minute))
			h.attend("responder", h.renewResponder(now))
		}
	}
}

func (h *house) attend(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		h.log.Error(what, "error", err)
	}
}
