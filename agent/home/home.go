// Package home is the folder that an agent keeps its state in: where it is on each system, private files written so that
// a crash leaves the old or the new one whole, locks between processes, and config.yaml.
//
// Its files are believed: who may write here is the person, or can do whatever the person can. It does not encrypt. On Windows
// the rights in a folder that was there before stay as they are.
package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"certsign/internal/problem"
)

// Dir is an agent's folder. Only its owner may read it.
type Dir struct{ path string }

// Default returns where the folder is unless the person says otherwise: $CERTSIGN_HOME, or by the system's custom.
func Default() (string, error) {
	if p := os.Getenv("CERTSIGN_HOME"); p != "" {
		return p, nil
	}
	switch runtime.GOOS {
	case "windows":
		if p := os.Getenv("LOCALAPPDATA"); p != "" {
			return filepath.Join(p, "CertSign"), nil
		}
		return "", errors.New("neither CERTSIGN_HOME nor LOCALAPPDATA is set")
	case "darwin":
		h, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the home folder: %w", err)
		}
		return filepath.Join(h, "Library", "Application Support", "CertSign"), nil
	}
	// XDG Base Directory Specification, 3: a relative path is to be ignored.
	if p := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(p) {
		return filepath.Join(p, "certsign"), nil
	}
	h, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the home folder: %w", err)
	}
	return filepath.Join(h, ".local", "share", "certsign"), nil
}

// Open makes the folder when it is not there, and takes other people's rights to it away.
func Open(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open home: %w", err)
	}
	d := &Dir{path: abs}
	if err := d.private(abs); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Dir) private(path string) error {
	if err := makeFolder(path); err != nil {
		return fmt.Errorf("open home: %w", err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("open home: %w", err)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		if err := d.ours(path, fi); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o700); err != nil {
			return fmt.Errorf("make home private: %w", err)
		}
	}
	sweep(path)
	return nil
}

// tempPrefix starts the names of files that are being written. One that is an hour old is what a crash left: writing takes
// milliseconds.
const (
	tempPrefix = ".new-"
	abandoned  = time.Hour
)

// sweep removes what a crash left half written in a folder of ours. It does what it can; the next time does the rest.
func sweep(path string) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) || !e.Type().IsRegular() {
			continue
		}
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > abandoned {
			_ = os.Remove(filepath.Join(path, e.Name()))
		}
	}
}

// ours keeps a slip of the pen, such as --home /tmp, from closing somebody else's folder: one that others may enter is
// taken over only when it is empty or was a home before.
func (d *Dir) ours(path string, fi os.FileInfo) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("open home: %w", err)
	}
	if path != d.path || len(entries) == 0 && fi.Mode()&os.ModeSticky == 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(path, ConfigName)); err != nil || fi.Mode()&os.ModeSticky != 0 {
		return problem.New(problem.BadRequest, "the folder %s is open to others and is not CertSign's own", path)
	}
	return nil
}

// Path returns a path inside the folder.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// Sub makes a private folder inside and returns its path.
func (d *Dir) Sub(name string) (string, error) {
	p := d.Path(name)
	return p, d.private(p)
}

// Read returns a file's bytes, at most max of them; an error that is fs.ErrNotExist when there is no such file.
func (d *Dir) Read(name string, max int64) ([]byte, error) {
	fi, err := os.Stat(d.Path(name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if fi.Size() > max {
		return nil, fmt.Errorf("read %s: %d octets are more than %d", name, fi.Size(), max)
	}
	b, err := os.ReadFile(d.Path(name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// Write replaces a file: after it returns nil the new bytes are on the disk, and at no moment is there half a file.
func (d *Dir) Write(name string, b []byte) error {
	if err := Replace(d.Path(name), 0o600, b); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Replace is Write for a file anywhere, with those rights.
func Replace(path string, mode fs.FileMode, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// Remove deletes a file, for good; one that is not there is no error.
func (d *Dir) Remove(name string) error {
	if err := os.Remove(d.Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return syncDir(filepath.Dir(d.Path(name)))
}

func syncDir(path string) error {
	if runtime.GOOS == "windows" { // a folder cannot be opened for that; NTFS journals the entry
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("another certsign holds the lock")

// Lock is held until Unlock, or until the process ends, however it ends.
type Lock struct{ f *os.File }

// Lock takes the lock of that name, and waits for it.
func (d *Dir) Lock(name string) (*Lock, error) { return d.lock(name, true) }

// TryLock takes the lock of that name, or returns ErrLocked at once.
func (d *Dir) TryLock(name string) (*Lock, error) { return d.lock(name, false) }

func (d *Dir) lock(name string, wait bool) (*Lock, error) { return lockPath(d.Path(name), wait) }

// TryLockPath is TryLock for a lock outside an agent's folder: the file at path, which is made.
func TryLockPath(path string) (*Lock, error) { return lockPath(path, false) }

func lockPath(path string, wait bool) (*Lock, error) {
	name := filepath.Base(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if err := lockFile(f, wait); err != nil {
		_ = f.Close()
		if errors.Is(err, ErrLocked) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return &Lock{f: f}, nil
}

// Unlock gives the lock back. The file stays: removing it would let two hold it.
func (l *Lock) Unlock() {
	if l != nil && l.f != nil {
		_ = l.f.Close()
		l.f = nil
	}
}
