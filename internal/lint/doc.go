// Package lint holds the rules of this repository that no linter can express,
// as plain tests: which package may import which and why, one package comment
// each, no goroutine and no clock in the pure packages, no function that grows
// past a screen, no Markdown that names what is not there.
//
// Every rule is a function from parsed files to complaints, so that each is
// also tried on a small source that breaks it.
package lint
