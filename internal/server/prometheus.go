package server

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// PrometheusConfig is the endpoint that Prometheus scrapes
// (PrometheusMetricsProvider in ZooKeeper).
type PrometheusConfig struct {
	// Addr is the host:port to listen on. If it cannot be, the server does not
	// start, as with ZooKeeper.
	Addr string
	// NoProcessInfo leaves out the metrics of the process and of Go
	// (metricsProvider.exportJvmInfo=false).
	NoProcessInfo bool
}

// openPrometheus binds the endpoint.
func (s *Server) openPrometheus() (err error) {
	c := s.cfg.Prometheus
	if c == nil {
		return nil
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(promCollector{s})
	if !c.NoProcessInfo {
		reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		MaxRequestsInFlight: 2, Timeout: 30 * time.Second,
	}))
	s.prometheus, err = listenHTTP("prometheus", c.Addr, time.Minute, mux, s.log)
	return err
}

// PrometheusAddr is where the endpoint listens; "" when there is none.
func (s *Server) PrometheusAddr() string {
	if s.prometheus == nil {
		return ""
	}
	return s.prometheus.addr()
}

// promCollector turns the metrics into Prometheus's. Which there are depends on
// the role, so that it describes none beforehand.
type promCollector struct{ s *Server }

// Describe implements [prometheus.Collector].
func (promCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c promCollector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.s.metrics(c.s.role()) {
		out <- m.prom()
	}
}

// prom is the metric as Prometheus takes it. Its help is its name, as in
// ZooKeeper.
func (m *metric) prom() prometheus.Metric {
	var labels, values []string
	if m.key != "" {
		labels, values = []string{"key"}, []string{m.key}
	}
	desc := prometheus.NewDesc(m.name, m.name, labels, nil)
	switch m.kind {
	case simple, detailed:
		v := m.view()
		quantiles := map[float64]float64{}
		for _, q := range m.quantiles() {
			quantiles[q] = m.quantile(q)
		}
		return prometheus.MustNewConstSummary(desc, uint64(v.Count), float64(v.Sum), quantiles, values...)
	case counter:
		return prometheus.MustNewConstMetric(desc, prometheus.CounterValue, m.float(), values...)
	case gauge:
	}
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, m.float(), values...)
}

// quantiles are the ones that ZooKeeper tells Prometheus of a summary.
func (m *metric) quantiles() []float64 {
	if m.kind == detailed {
		return []float64{0.5, 0.9, 0.99}
	}
	return []float64{0.5}
}

func (m *metric) quantile(q float64) float64 {
	if v := m.view(); v.Count > 0 {
		return float64(v.Quantile(q))
	}
	return math.NaN()
}

// sampled puts a metric as mntr and monitor show it when there is a Prometheus
// endpoint: the names and values of its samples.
func (m *metric) sampled(put func(string, any)) {
	labels := []string{}
	if m.key != "" {
		labels = append(labels, `key="`+m.key+`"`)
	}
	name := func(suffix string, more ...string) string {
		all := append(labels[:len(labels):len(labels)], more...)
		if len(all) == 0 {
			return m.name + suffix
		}
		return m.name + suffix + "{" + strings.Join(all, ",") + "}"
	}
	if m.kind != simple && m.kind != detailed {
		put(name(""), sample(m.float()))
		return
	}
	for _, q := range m.quantiles() {
		put(name("", `quantile="`+strconv.FormatFloat(q, 'g', -1, 64)+`"`), sample(m.quantile(q)))
	}
	v := m.view()
	put(name("_count"), sample(v.Count))
	put(name("_sum"), sample(v.Sum))
}

// sample is a number that prints as java.lang.Double does.
type sample float64

// String is Double.toString.
func (n sample) String() string {
	v := float64(n)
	if a := math.Abs(v); v == 0 || a >= 1e-3 && a < 1e7 {
		t := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(t, ".") {
			t += ".0"
		}
		return t
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strings.Replace(strconv.FormatFloat(v, 'g', -1, 64), "Inf", "Infinity", 1)
	}
	digits, exp, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	e, _ := strconv.Atoi(exp)
	return digits + "E" + strconv.Itoa(e)
}

// MarshalJSON quotes what JSON has no number for.
func (n sample) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte(strconv.Quote(n.String())), nil
	}
	return []byte(n.String()), nil
}
