// Package integration tests Quorate from outside: built binaries, real
// sockets, Apache ZooKeeper beside it, and the clients people use.
//
// process.go and server.go start and stop servers, client.go speaks the
// protocol by hand, script.go holds a conversation that is written down in
// testdata/scripts with the answers it must get, whoever gives them.
//
// Tests that need a peer (Java, Python, the C shell) skip when it is missing;
// with QUORATE_INTEROP=required they fail instead.
package integration
