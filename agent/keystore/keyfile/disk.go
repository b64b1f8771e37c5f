package keyfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"certsign/agent/home"
	"certsign/internal/problem"
)

// tempPrefix starts the names of files that are being written, lockName is the folder's lock.
const (
	tempPrefix = ".certsign-"
	lockName   = ".lock"
)

// disk is each step that changes something, so that tests can make any of them fail or be the last.
type disk interface {
	create(dir string) (file, error) // a file of a new name that starts with tempPrefix, for its owner alone
	rename(from, to string) error
	remove(path string) error
	syncFolder(dir string) error
}

type file interface {
	io.WriteCloser
	Sync() error
	Name() string
}

type systemDisk struct{}

func (systemDisk) create(dir string) (file, error) { return os.CreateTemp(dir, tempPrefix+"*") } // 0600
func (systemDisk) rename(from, to string) error    { return os.Rename(from, to) }
func (systemDisk) remove(path string) error        { return os.Remove(path) }

// syncFolder makes the names in a folder last. Windows does that by itself and cannot open a folder.
func (systemDisk) syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFile replaces a file as a whole: whenever the machine stops, the old content or the new one is there, never a part.
// Only the owner may read it. The directory is synchronised too, so that the new name lasts. After an error the old content
// is there, except when the very last step failed: then the new one is, and may not outlive a power cut.
func writeFile(d disk, path string, b []byte) (err error) {
	defer func() {
		if err != nil {
			err = problem.Wrap(problem.StoreUnavailable, err, "the key file cannot be written")
		}
	}()
	f, err := d.create(filepath.Dir(path))
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, d.remove(f.Name()))
	}
	return d.syncFolder(filepath.Dir(path))
}

// lockTime is how long to wait for another process that writes; it holds the lock for one write.
const lockTime = 10 * time.Second

// lock keeps every other writer away from the folder. Whatever is half written then is what a crash left, and is removed.
// No lock is held while a person is asked.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	for {
		lock, err := home.TryLockPath(filepath.Join(s.dir, lockName))
		if err == nil {
			s.sweep()
			return lock.Unlock, nil
		}
		if !errors.Is(err, home.ErrLocked) {
			return nil, problem.Wrap(problem.StoreUnavailable, err, "the folder of key files cannot be locked")
		}
		select {
		case <-ctx.Done():
			return nil, problem.Wrap(problem.StoreUnavailable, err, "another program is writing key files")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// readFile reads at most limit octets, and fails when there are more. What is no file is not opened: a pipe would hold up
// whoever opens it.
func readFile(path string, limit int64) ([]byte, error) {
	found, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !found.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
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

// sweep removes what a crash left behind: files that were being written, and public parts whose key never came. It does
// what it can; the next time does the rest. The folder is locked.
func (s *Store) sweep() {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, file := range files {
		path := filepath.Join(s.dir, file.Name())
		name, isPublic := strings.CutSuffix(path, extPublic)
		switch {
		case !file.Type().IsRegular():
		case strings.HasPrefix(file.Name(), tempPrefix):
			_ = s.disk.remove(path)
		case isPublic:
			if _, err := os.Lstat(name + extKey); !errors.Is(err, fs.ErrNotExist) {
				continue
			}
			// Only what we wrote: the person may have pointed us at a folder with files of others.
			if b, err := readFile(path, maxPublicPart); err != nil {
				continue
			} else if _, err := readPublicPart(b); err != nil {
				continue
			}
			_ = s.disk.remove(path)
		}
	}
}
