package bench

import (
	"context"
	"fmt"
	"sync"

	"github.com/quorate/quorate/wire"
)

// createBody appends the body of a create request.
func createBody(dst []byte, path, data []byte, flags int32) []byte {
	req := wire.CreateRequest{Path: path, Data: data, ACL: wire.OpenACL, Flags: flags}
	return req.Append(dst, wire.OpCreate)
}

// create makes one persistent znode; one that is there already is fine.
func (s *Session) create(path string) error {
	code, _, err := s.Call(wire.OpCreate, createBody(nil, []byte(path), []byte{}, wire.FlagPersistent))
	if err != nil {
		return err
	}
	if code != wire.OK && code != wire.ErrNodeExists {
		return fmt.Errorf("%s: create %s: %w", s.addr, path, code)
	}
	return nil
}

// createTree makes the prefix of t, its parents and n znodes of the given data.
func (s *Session) createTree(t tree, n int, data []byte) error {
	if err := s.createParents(t, parents(n)); err != nil {
		return err
	}
	return s.createAll(t, n, data, t.appendKey)
}

// createParents makes the prefix of t and its first n parents.
func (s *Session) createParents(t tree, n int) error {
	if err := s.create(t.prefix); err != nil {
		return err
	}
	return s.createAll(t, n, []byte{}, t.appendParent)
}

// createAll makes n znodes; those that are there already are fine.
func (s *Session) createAll(t tree, n int, data []byte, appendPath func([]byte, int) []byte) error {
	var path []byte
	return s.Batch(wire.OpCreate, n, func(dst []byte, i int) []byte {
		path = appendPath(path[:0], i)
		return createBody(dst, path, data, wire.FlagPersistent)
	}, func(_ int, code wire.Code) error {
		if code != wire.OK && code != wire.ErrNodeExists {
			return fmt.Errorf("%s: create below %s: %w", s.addr, t.prefix, code)
		}
		return nil
	})
}

// children lists a znode; one that is not there has none.
func (s *Session) children(path string) ([]string, error) {
	code, body, err := s.Call(wire.OpGetChildren, wire.PathWatch{Path: []byte(path)}.Append(nil))
	if err != nil {
		return nil, err
	}
	if code == wire.ErrNoNode {
		return nil, nil
	}
	if code != wire.OK {
		return nil, fmt.Errorf("%s: getChildren %s: %w", s.addr, path, code)
	}
	r := wire.NewReader(body)
	names := make([]string, 0, 16)
	for n := r.Count(wire.FrameHeaderBytes); n > 0; n-- {
		names = append(names, r.String())
	}
	if r.Err() != nil {
		return nil, fmt.Errorf("%s: %w to getChildren %s: %w", s.addr, ErrUnexpected, path, r.Err())
	}
	return names, nil
}

// remove deletes path and everything below it, children in batches.
func (s *Session) remove(path string) error {
	names, err := s.children(path)
	if err != nil {
		return err
	}
	var refused []string // those with children of their own
	if err := s.deleteAll(path, names, &refused); err != nil {
		return err
	}
	for _, name := range refused {
		if err := s.remove(path + "/" + name); err != nil {
			return err
		}
	}
	return s.deleteOne(path)
}

// deleteAll deletes the children of path and collects those that have some.
func (s *Session) deleteAll(path string, names []string, refused *[]string) error {
	return s.Batch(wire.OpDelete, len(names), func(dst []byte, i int) []byte {
		return wire.PathVersion{Path: []byte(path + "/" + names[i]), Version: -1}.Append(dst)
	}, func(i int, code wire.Code) error {
		switch code {
		case wire.OK, wire.ErrNoNode:
			return nil
		case wire.ErrNotEmpty:
			*refused = append(*refused, names[i])
			return nil
		default:
			return fmt.Errorf("%s: delete %s/%s: %w", s.addr, path, names[i], code)
		}
	})
}

func (s *Session) deleteOne(path string) error {
	code, _, err := s.Call(wire.OpDelete, wire.PathVersion{Path: []byte(path), Version: -1}.Append(nil))
	if err != nil {
		return err
	}
	if code != wire.OK && code != wire.ErrNoNode {
		return fmt.Errorf("%s: delete %s: %w", s.addr, path, code)
	}
	return nil
}

// removeWorkers is how many sessions remove a big tree together.
const removeWorkers = 4

// removeTree deletes path and everything below it. Many children (the parents
// of a big tree) are shared out among a few sessions, so that a million znodes
// go about as fast as they came. No session is kept idle meanwhile: it would
// expire.
func removeTree(ctx context.Context, addr, path string, o DialOptions) error {
	names, err := listOnce(ctx, addr, path, o)
	if err != nil {
		return err
	}
	if len(names) > removeWorkers {
		for i, name := range names {
			names[i] = path + "/" + name
		}
		if err := removeParts(ctx, addr, names, o); err != nil {
			return err
		}
	}
	s, err := Dial(ctx, addr, o)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.remove(path)
}

// listOnce lists a znode on a session of its own.
func listOnce(ctx context.Context, addr, path string, o DialOptions) ([]string, error) {
	s, err := Dial(ctx, addr, o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.children(path)
}

// removeParts removes the given subtrees with several sessions.
func removeParts(ctx context.Context, addr string, parts []string, o DialOptions) error {
	var wg sync.WaitGroup
	errs := make([]error, removeWorkers)
	for w := range removeWorkers {
		wg.Go(func() {
			s, err := Dial(ctx, addr, o)
			if err != nil {
				errs[w] = err
				return
			}
			defer s.Close()
			for i := w; i < len(parts) && errs[w] == nil; i += removeWorkers {
				errs[w] = s.remove(parts[i])
			}
		})
	}
	wg.Wait()
	return firstError(errs)
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
