// Command quorate is a coordination service that speaks ZooKeeper's client
// protocol: the server, and the tools that go with it, in one binary.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
