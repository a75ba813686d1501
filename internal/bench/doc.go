// Package bench is the load generator behind `quorate bench`: it speaks the
// client protocol of package wire straight to one or several servers and
// measures throughput, latency and what the operations cost the server.
//
// The generator is built to be much cheaper than any server it measures,
// because both often share one machine. A [lane] is one session with a window
// of requests in flight; it is a plain state machine that owns no goroutine and
// allocates nothing per operation. A driver moves bytes between lanes and
// sockets: on Linux a few epoll loops that issue one read and one write per
// batch, elsewhere one goroutine per lane.
//
// Everything a run creates lives under one parent, /quorate-bench-<random>,
// and is removed when the run ends, also when it is interrupted.
package bench
