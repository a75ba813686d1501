package znode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A member of an ensemble that receives a whole snapshot keeps two stores for a
// while: the one it serves from, and beside it the one that will take its place.
// They are numbered siblings: Dir, Dir-1, Dir-2 and so on.

// Sibling returns the options of the store with this number beside o; 0 is o
// itself.
func (o StoreOptions) Sibling(number int) StoreOptions {
	if number > 0 {
		o.Dir += "-" + strconv.Itoa(number)
	}
	return o
}

// Siblings returns the numbers of the directories that are there for stores
// beside o, o itself among them, in no order.
func (o StoreOptions) Siblings() ([]int, error) {
	fsys := o.filesystem()
	names, err := fsys.List(fsys.PathDir(o.Dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("znode: looking for trees beside %s: %w", o.Dir, err)
	}
	base := fsys.PathBase(o.Dir)
	var numbers []int
	for _, name := range names {
		rest, ok := strings.CutPrefix(filepath.Base(name), base)
		if !ok {
			continue
		}
		if rest == "" {
			numbers = append(numbers, 0)
		} else if n, err := strconv.Atoi(strings.TrimPrefix(rest, "-")); err == nil && n > 0 && rest == "-"+strconv.Itoa(n) {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// Remove deletes the closed store at o, and all that is in its directory.
func (o StoreOptions) Remove() error {
	if err := o.filesystem().RemoveAll(o.Dir); err != nil {
		return fmt.Errorf("znode: removing the tree in %s: %w", o.Dir, err)
	}
	return nil
}

func (o StoreOptions) filesystem() vfs.FS {
	if o.FS == nil {
		return vfs.Default
	}
	return o.FS
}
