// Package quorum is the arithmetic of quorums: which sets of servers may decide for the whole ensemble.
//
// A quorum system is a value, a Verifier, never a count, so that the protocol asks one question ("is this set a
// quorum?") whatever the configuration is: a plain majority, groups with weights, or two configurations at once while
// the ensemble moves from the one to the other. The one property that everything above relies on: any two quorums of
// one Verifier share a server, and a quorum of Both(a, b) shares a server with every quorum of a and with every
// quorum of b.
//
// Values are immutable. The package knows nothing of messages, epochs or time.
package quorum
