// Package netns puts the members of an ensemble into network namespaces of
// their own, joined by a switch in this process that can cut, delay and lose
// what passes, for each direction of each pair of members by itself.
//
// sandbox.go runs a whole test binary inside fresh network, mount and process
// namespaces, so that the kernel removes every process, interface and mount
// when it ends, however it ends. network.go lays cables with iproute2, switch.go
// carries the frames: in this process rather than in a kernel bridge, because
// then a fault needs no qdisc and no firewall, which kernels lack (netem above
// all), takes effect between two frames, and is drawn from the test's seed.
//
// It needs root and Linux.
package netns
