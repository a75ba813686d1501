// Package quorum holds the tests that show, with stock clients and real
// processes, what only an ensemble can show: elections, sessions that move from
// server to server, what a server tells about its role, reads without a quorum.
//
// A row is one feature. It is a list of acts that say what clients see; the same
// acts are played on an ensemble of Debian's Apache ZooKeeper, on one of Quorate,
// and some on a mixed one, and what was seen must be what the row says, line by
// line. A line that differs on purpose stands there under the tag of the cast.
package quorum
