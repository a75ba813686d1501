// Package history judges what clients of an ensemble saw: whether registers
// were linearizable, writes in the order of their zxids, sessions never taken
// back in time, ephemerals there exactly while their session lives, watch events
// complete and in order.
//
// It only computes. Package witness makes the histories.
package history
