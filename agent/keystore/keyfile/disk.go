package keyfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"certsign/internal/problem"
)

// tempPrefix starts the names of files that are being written.
const tempPrefix = ".certsign-"

// writeFile replaces a file as a whole: whenever the machine stops, the old content or the new one is there, never a part.
// Only the owner may read it. The directory is synchronised too, so that the new name lasts.
func writeFile(path string, b []byte) (err error) {
	defer func() {
		if err != nil {
			err = problem.Wrap(problem.StoreUnavailable, err, "the key file cannot be written")
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder last. Windows does that by itself and cannot open a folder.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readFile reads at most limit octets, and fails when there are more.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("more than %d octets", limit)
	}
	return b, nil
}

// makeFolder makes the folder for its owner alone, or checks the one that is there.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return problem.Wrap(problem.StoreUnavailable, err, "the folder for key files cannot be made")
	}
	return checkFolder(dir)
}

func checkFolder(dir string) error {
	found, err := os.Stat(dir)
	switch {
	case err != nil:
		return problem.Wrap(problem.StoreUnavailable, err, "the folder for key files")
	case !found.IsDir():
		return problem.New(problem.StoreUnavailable, "the folder for key files is no folder")
	case runtime.GOOS != "windows" && found.Mode().Perm()&0o022 != 0:
		return problem.New(problem.StoreUnavailable, "others can write in the folder for key files")
	}
	return nil
}

// leftover is how old a file must be before it counts as what a crash left behind.
const leftover = 10 * time.Minute

// sweep removes what a crash left behind: files that were being written, and public parts whose key never came. It does
// what it can; the next time does the rest.
func sweep(dir string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, file := range files {
		found, err := file.Info()
		if err != nil || !found.Mode().IsRegular() || time.Since(found.ModTime()) < leftover {
			continue
		}
		path := filepath.Join(dir, file.Name())
		if name, isPublic := strings.CutSuffix(path, extPublic); isPublic {
			if _, err := os.Lstat(name + extKey); !errors.Is(err, os.ErrNotExist) {
				continue
			}
			// Only what we wrote: the person may have pointed us at a folder with files of others.
			if b, err := readFile(path, maxPublicPart); err != nil {
				continue
			} else if _, err := readPublicPart(b); err != nil {
				continue
			}
			_ = os.Remove(path)
		} else if strings.HasPrefix(file.Name(), tempPrefix) {
			_ = os.Remove(path)
		}
	}
}
