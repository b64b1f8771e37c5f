package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"certsign/ca"
)

var requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
	Name: "customs_ca_http_request_seconds", Help: "Time to answer, by listener and class of status.",
	Buckets: []float64{.005, .02, .1, .5, 2, 10},
}, []string{"listener", "status"})

// counted measures a listener. Paths are not told apart: they hold serial numbers and document ids.
func counted(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(recorder, r)
		requests.WithLabelValues(name, fmt.Sprintf("%dxx", recorder.status/100)).Observe(time.Since(started).Seconds())
	})
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// admin serves /livez, /readyz and /metrics.
func (h *house) admin() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &census{h})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := h.store.Ping(r.Context()); err != nil {
			h.log.Error("readyz", "error", err)
			http.Error(w, "database", http.StatusServiceUnavailable)
			return
		}
		for shard := range h.config.CRLShards {
			if _, err := h.status.CRL(r.Context(), shard); err != nil {
				h.log.Error("readyz", "error", err)
				http.Error(w, "crl", http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// census counts certificates and what waits, when it is asked.
type census struct{ h *house }

var (
	certificatesDesc = prometheus.NewDesc("customs_ca_certificates", "Certificates by state.", []string{"state"}, nil)
	waitingDesc      = prometheus.NewDesc("customs_ca_waiting", "What waits: requests for the help desk, messages, interrupted issues.", []string{"what"}, nil)
)

// Describe implements prometheus.Collector.
func (c *census) Describe(d chan<- *prometheus.Desc) {
	d <- certificatesDesc
	d <- waitingDesc
}

// Collect implements prometheus.Collector.
func (c *census) Collect(m chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := c.h.ledger.View(ctx, func(tx ca.Tx) error {
		states, err := tx.CountStates(time.Now())
		if err != nil {
			return err
		}
		for _, s := range []ca.State{ca.Active, ca.Suspended, ca.Revoked, ca.Expired} {
			m <- prometheus.MustNewConstMetric(certificatesDesc, prometheus.GaugeValue, float64(states[s]), string(s))
		}
		open, err := tx.RequestsIn(ca.Submitted, 10000)
		if err != nil {
			return err
		}
		mail, err := tx.UnsentMail(10000)
		if err != nil {
			return err
		}
		intents, err := tx.OpenIntents()
		if err != nil {
			return err
		}
		for what, n := range map[string]int{"requests": len(open), "mail": len(mail), "intents": len(intents)} {
			m <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(n), what)
		}
		return nil
	})
	if err != nil {
		c.h.log.Error("metrics", "error", err)
	}
}
