package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"certsign/agent/home"
	"certsign/internal/problem"
)

// mayWrite tells whether a result can go to path, before anything is done for it: a file that is there is replaced only
// with --force, and one that the call reads is never written. "-" is standard output.
func mayWrite(path string, force bool, inputs ...string) error {
	if path == "" || path == "-" {
		return nil
	}
	there, err := os.Stat(path)
	if err != nil {
		return nil // what is wrong shows when it is written
	}
	for _, in := range inputs {
		if read, err := os.Stat(in); err == nil && os.SameFile(there, read) {
			return usagef("%s is read here: name another file for the result", "%s to plik wejściowy: podaj inny plik na wynik", path)
		}
	}
	switch {
	case there.IsDir():
		return usagef("%s is a folder: name a file", "%s to folder: podaj plik", path)
	case !force:
		return taken(path, "Name another file, or replace this one with --force.", "Podaj inny plik albo zastąp ten opcją --force.")
	}
	return nil
}

// taken is a file that would be lost.
func taken(path, remedy, plRemedy string) error {
	return wordedAs(problem.New(problem.BadRequest, "%s is there already", path),
		fmt.Sprintf("The file %s is there already.", path), remedy, fmt.Sprintf("Plik %s już istnieje.", path), plRemedy)
}

// writeFile writes a result; "-" is standard output. With force it replaces path, or leaves it as it was.
func (c *command) writeFile(path string, force bool, b []byte) error {
	const mode = 0o644
	switch {
	case path == "-":
		_, err := c.out.Write(b)
		return err
	case !force:
		return writeNew(path, mode, b)
	}
	if err := home.Replace(path, mode, b); err != nil {
		return unwritable(path, err)
	}
	return nil
}

// writeNew writes a file that was not there, so that it lasts, and reads it again.
func writeNew(path string, mode os.FileMode, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return taken(path, "Name another file.", "Podaj inny plik.")
	}
	if err != nil {
		return unwritable(path, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil && runtime.GOOS != "windows" { // where a folder cannot be opened for that
		err = syncFolder(filepath.Dir(path))
	}
	if err == nil {
		var again []byte
		if again, err = os.ReadFile(path); err == nil && !bytes.Equal(again, b) {
			err = errors.New("what was read is not what was written")
		}
	}
	if err != nil {
		return unwritable(path, errors.Join(err, os.Remove(path)))
	}
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
