// Package members knows the list of an ensemble's servers: who they are,
// where they listen, who votes and how votes are counted.
//
// The list has a text of its own, which stands in zoo.cfg, travels in
// notifications and NEWLEADER, and is the data of /zookeeper/config. ZooKeeper
// has it in QuorumServer, QuorumMaj and QuorumHierarchical. The package is
// arithmetic on text: no sockets, no names resolved. Its values are plain, and
// nothing in it may be shared with a writer.
package members
