// Verifies an export of Muster's ledger with Go's own packages for transparency logs, and nothing of Muster.
//
//	apt-get install golang-go golang-golang-x-mod-dev
//	GO111MODULE=off GOPATH=/usr/share/gocode go run verify.go "$(cat seal.pub)" DIRECTORY
//
// It computes the tree from the entries, compares its root with that of the signed checkpoint, and every tile with the
// tree. Tiles are those of https://c2sp.org/tlog-tiles, which leaves out the height (8) from the paths that tlog uses.
//
// tlog.TileHashReader is not used: before golang.org/x/mod 0.40.0 it accepts forged tiles (CVE-2026-56865).
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height, width = 8, 1 << 8

// tiles calls do with each tile of a level of the tree, and the bytes of its file. Level -1 is the bundles of entries.
func tiles(directory string, level int, size int64, do func(tlog.Tile, []byte) error) error {
	if level > 0 {
		size >>= uint(height * level)
	}
	for n := int64(0); n*width < size; n++ {
		tile := tlog.Tile{H: height, L: level, N: n, W: width}
		if size-n*width < width {
			tile.W = int(size - n*width)
		}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(directory, strings.Replace(path, "tile/8/", "tile/", 1)))
		if err != nil {
			return err
		}
		if err := do(tile, data); err != nil {
			return err
		}
	}
	return nil
}

func checkpoint(key, directory string) (tree tlog.Tree, err error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(key))
	if err != nil {
		return tree, err
	}
	signed, err := os.ReadFile(filepath.Join(directory, "checkpoint"))
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.SplitN(opened.Text, "\n", 4)
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("the note is no checkpoint of %s", verifier.Name())
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil || tree.N < 0 {
		return tree, fmt.Errorf("the size is %q", lines[1])
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

func verify(tree tlog.Tree, directory string) error {
	var stored []tlog.Hash // two for each entry, as tlog numbers them
	hashes := tlog.HashReaderFunc(func(indexes []int64) (found []tlog.Hash, err error) {
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	err := tiles(directory, -1, tree.N, func(tile tlog.Tile, rest []byte) error {
		for n := tile.N * width; n < tile.N*width+int64(tile.W); n++ {
			if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
				return fmt.Errorf("entry %d is cut off", n+1)
			}
			entry := rest[2 : 2+int(binary.BigEndian.Uint16(rest))]
			if !strings.HasPrefix(string(entry), fmt.Sprintf(`{"v":1,"no":%d,`, n+1)) {
				return fmt.Errorf("entry %d has another number", n+1)
			}
			added, err := tlog.StoredHashes(n, entry, hashes)
			if err != nil {
				return err
			}
			stored, rest = append(stored, added...), rest[2+len(entry):]
		}
		if len(rest) > 0 {
			return fmt.Errorf("%d bytes follow entry %d", len(rest), tile.N*width+int64(tile.W))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for level := 0; tree.N>>uint(height*level) > 0; level++ {
		err := tiles(directory, level, tree.N, func(tile tlog.Tile, found []byte) error {
			if computed, err := tlog.ReadTileData(tile, hashes); err != nil || !bytes.Equal(computed, found) {
				return fmt.Errorf("%s does not have the hashes of the entries (%v)", tile.Path(), err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	root := tlog.Hash(sha256.Sum256(nil)) // of an empty tree, for which tlog has another value
	if tree.N > 0 {
		if root, err = tlog.TreeHash(tree.N, hashes); err != nil {
			return err
		}
	}
	if root != tree.Hash {
		return fmt.Errorf("the entries have the root %v, and the checkpoint signs %v", root, tree.Hash)
	}
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: verify VERIFIER-KEY DIRECTORY")
		os.Exit(2)
	}
	tree, err := checkpoint(os.Args[1], os.Args[2])
	if err == nil {
		err = verify(tree, os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "not verified:", err)
		os.Exit(1)
	}
	fmt.Printf("verified: %d entries, root %v\n", tree.N, tree.Hash)
}
