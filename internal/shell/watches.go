package shell

import (
	"slices"

	"github.com/quorate/quorate/wire"
)

// watchKind is a list of setWatches2, in its order.
type watchKind int

const (
	dataWatch watchKind = iota
	existWatch
	childWatch
	persistentWatch
	recursiveWatch
	watchKinds
)

// watchSet is what the client watches. It is needed for two things only: to
// set the watches again on a new connection, and to know what removewatches
// removed. Paths are the user's.
type watchSet struct {
	paths [watchKinds]map[string]bool
}

func (w *watchSet) add(kind watchKind, path string) {
	if w.paths[kind] == nil {
		w.paths[kind] = map[string]bool{}
	}
	w.paths[kind][path] = true
}

// fired forgets the one-time watches that an event has used up.
func (w *watchSet) fired(event wire.EventType, path string) {
	switch event {
	case wire.EventNodeCreated, wire.EventNodeDataChanged:
		delete(w.paths[dataWatch], path)
		delete(w.paths[existWatch], path)
	case wire.EventNodeChildrenChanged:
		delete(w.paths[childWatch], path)
	case wire.EventNodeDeleted:
		delete(w.paths[dataWatch], path)
		delete(w.paths[existWatch], path)
		delete(w.paths[childWatch], path)
	}
}

// kindsOf lists what a watcher type covers, with the event each removal makes.
func kindsOf(t wire.WatcherType) map[watchKind]string {
	all := map[wire.WatcherType]map[watchKind]string{
		wire.WatcherData:                {dataWatch: "DataWatchRemoved", existWatch: "DataWatchRemoved"},
		wire.WatcherChildren:            {childWatch: "ChildWatchRemoved"},
		wire.WatcherPersistent:          {persistentWatch: "PersistentWatchRemoved"},
		wire.WatcherPersistentRecursive: {recursiveWatch: "PersistentWatchRemoved"},
	}
	if t != wire.WatcherAny {
		return all[t]
	}
	any := map[watchKind]string{}
	for _, kinds := range all {
		for kind, name := range kinds {
			any[kind] = name
		}
	}
	return any
}

func (w *watchSet) has(path string, t wire.WatcherType) bool {
	for kind := range kindsOf(t) {
		if w.paths[kind][path] {
			return true
		}
	}
	return false
}

// remove forgets watches and returns the names of the events that tells of.
func (w *watchSet) remove(path string, t wire.WatcherType) []string {
	var events []string
	names := kindsOf(t)
	for kind := range watchKinds {
		if name, covered := names[kind]; covered && w.paths[kind][path] {
			delete(w.paths[kind], path)
			events = append(events, name)
		}
	}
	return events
}

// replay encodes a setWatches2 of everything watched; false when there is
// nothing.
func (w *watchSet) replay(chroot string, lastZxid int64) (body []byte, some bool) {
	req := wire.SetWatchesRequest{RelativeZxid: lastZxid}
	for kind := range watchKinds {
		paths := make([]string, 0, len(w.paths[kind]))
		for path := range w.paths[kind] {
			paths = append(paths, path)
		}
		slices.Sort(paths)
		for _, path := range paths {
			req.Lists[kind] = append(req.Lists[kind], underChroot(chroot, path))
			some = true
		}
	}
	return req.Append(nil, wire.OpSetWatches2), some
}

// underChroot is the server's name of a watched path; the configuration has no
// other.
func underChroot(chroot, path string) []byte {
	switch {
	case path == configPath || chroot == "":
		return []byte(path)
	case path == "/":
		return []byte(chroot)
	}
	return []byte(chroot + path)
}

func eventName(t wire.EventType) string {
	switch t {
	case wire.EventNodeCreated:
		return "NodeCreated"
	case wire.EventNodeDeleted:
		return "NodeDeleted"
	case wire.EventNodeDataChanged:
		return "NodeDataChanged"
	case wire.EventNodeChildrenChanged:
		return "NodeChildrenChanged"
	}
	return "None"
}
