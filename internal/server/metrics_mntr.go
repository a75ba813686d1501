package server

import (
	"fmt"
	"strconv"
)

// wordMntr writes the metrics, one a line, under ZooKeeper's names.
func (s *Server) wordMntr(q *wordQuery) {
	put := func(key string, v any) { fmt.Fprintf(q, "zk_%s\t%v\n", key, v) }
	s.identity(q.role, put)
	for _, m := range s.metrics(q.role) {
		s.render(&m, put)
	}
}

// render puts a metric in the notation of the provider that is configured.
func (s *Server) render(m *metric, put func(string, any)) {
	if s.cfg.Prometheus != nil {
		m.sampled(put)
		return
	}
	m.flat(put)
}

// identity tells who this server is: what mntr and the command monitor begin
// with.
func (s *Server) identity(r role, put func(string, any)) {
	put("version", s.cfg.Version)
	put("server_state", r.mode())
	if r.alone || r.readOnly {
		return
	}
	put("peer_state", r.peer())
	if s.cfg.Ensemble.observes() && r.serving {
		put("observer_master_id", r.status.Leader)
	}
}

// javaNumber is a number that prints as Java's doubles do.
type javaNumber float64

// String is what javaDouble makes of it.
func (n javaNumber) String() string { return javaDouble(float64(n)) }

// MarshalJSON is the same: at least one decimal.
func (n javaNumber) MarshalJSON() ([]byte, error) { return []byte(n.String()), nil }

// flat puts a metric as ZooKeeper's own provider does: a summary is several
// figures, and the key of one stands before its name.
func (m *metric) flat(put func(string, any)) {
	name := m.name
	if m.key != "" {
		name = m.key + "_" + name
	}
	switch {
	case m.kind == simple, m.kind == detailed:
		m.flatSummary(name, put)
	case m.fraction:
		put(name, javaNumber(m.share))
	default:
		put(name, m.whole)
	}
}

func (m *metric) flatSummary(name string, put func(string, any)) {
	v := m.view()
	put("avg_"+name, javaNumber(v.Avg()))
	put("min_"+name, v.Min)
	put("max_"+name, v.Max)
	put("cnt_"+name, v.Count)
	put("sum_"+name, v.Sum)
	if m.kind == detailed {
		for _, q := range []int{500, 950, 990, 999} {
			put("p"+percentile(q)+"_"+name, v.Quantile(float64(q)/1000))
		}
	}
}

// percentile writes a share in thousandths as the keys do: 50, 95, 99, 999.
func percentile(thousandths int) string {
	if thousandths%10 == 0 {
		thousandths /= 10
	}
	return strconv.Itoa(thousandths)
}
