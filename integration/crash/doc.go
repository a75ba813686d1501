// Package crash kills servers at chosen steps. A step is a system call with
// which a server changes what is left of it after its death: it writes to, makes,
// renames, cuts or removes a file of its data, or sends something to another
// server. A process that dies at step n has done everything before it
// and nothing from there on, so all states that a kill can leave are reached
// by counting n up.
//
// The server is the released binary, without a hook: a second copy of the
// program that uses this package, which calls [Main] first, traces it with
// ptrace. That needs Linux on amd64; [Need] tells. What a kill leaves is what the
// kernel was told, synced or not, so that a sync is no step; what a power cut leaves is tested where the file
// system can be replaced, in zab/txnlog, znode and internal/server.
package crash
