// Package table writes what Quorate and ZooKeeper did beside what is asked of
// Quorate, as a Markdown table that can be pasted into a document: a [Row] has
// both figures, their ratio, the target and whether it is met. The commands
// that measure, compare and figures, decide what is in it.
package table
