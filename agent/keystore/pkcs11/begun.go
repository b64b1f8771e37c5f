package pkcs11

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"certsign/agent/home"
	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// begun is the note of a key that is being made: Generate has not returned it yet, so nobody can have a certificate for it.
// It is on the disk before the token is asked, and goes when the key is whole. When the driver, the agent or the computer ends
// in between, it stays, and what is on the token under its IDs is deleted when the token is next opened for writing.
type begun struct {
	home *home.Dir
	file string
	lock *home.Lock
	Keys []unfinished `json:"keys"`
}

// unfinished is an ID that a key may have. Public is empty for the first one, which is random and so nobody else's.
type unfinished struct {
	ID     []byte      `json:"id"`
	Public wire.Object `json:"public"`
}

// The notes: begun/PLACE.ID.json, and beside each a lock that its writer holds.
const (
	begunFolder = "begun"
	maxBegun    = 64 << 10 // octets
)

// begin writes the note of a key that is about to be made. Without a folder none is kept.
func (s *Store) begin(place string) (*begun, error) {
	b := &begun{home: s.config.Home, Keys: []unfinished{{ID: make([]byte, 20)}}}
	if _, err := rand.Read(b.Keys[0].ID); err != nil {
		return nil, err
	}
	if b.home == nil {
		return b, nil
	}
	if _, err := b.home.Sub(begunFolder); err != nil {
		return nil, err
	}
	b.file = filepath.Join(begunFolder, place+"."+hex.EncodeToString(b.Keys[0].ID)+".json")
	var err error
	if b.lock, err = b.home.TryLock(lockOf(b.file)); err != nil {
		return nil, err
	}
	if err := b.write(); err != nil {
		b.leave()
		return nil, err
	}
	return b, nil
}

func lockOf(file string) string { return strings.TrimSuffix(file, ".json") + ".lock" }

// also notes the ID that the key is to get, before it gets it.
func (b *begun) also(id []byte, public wire.Object) error {
	b.Keys = append(b.Keys, unfinished{id, public})
	return b.write()
}

func (b *begun) write() error {
	if b.home == nil {
		return nil
	}
	encoded, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return b.home.Write(b.file, encoded)
}

// done takes the note back. A key whose note stays is not finished, and must not be used.
func (b *begun) done() error {
	if b.home == nil {
		return nil
	}
	return b.home.Remove(b.file)
}

// leave ends the writing of the note, whether or not the note stays.
func (b *begun) leave() {
	if b.lock == nil {
		return
	}
	b.lock.Unlock()
	if _, err := os.Stat(b.home.Path(b.file)); errors.Is(err, fs.ErrNotExist) {
		_ = os.Remove(b.home.Path(lockOf(b.file)))
	}
}

// clear deletes the keys of a token that were begun and never finished. The token is open for writing. What cannot be
// deleted now is left for the next time: it keeps nobody from what he wants to do.
func (s *Store) clear(ctx context.Context, t *token) {
	if s.config.Home == nil {
		return
	}
	notes, err := filepath.Glob(s.config.Home.Path(begunFolder, t.place.ID+".*.json"))
	if err != nil || len(notes) == 0 {
		return
	}
	keys, err := t.keys(ctx)
	if err != nil {
		return
	}
	for _, path := range notes {
		if err := s.clearOne(ctx, t, filepath.Join(begunFolder, filepath.Base(path)), keys); err != nil {
			s.config.Log.Warn("a key that was begun is left for later", "err", err)
		}
	}
}

func (s *Store) clearOne(ctx context.Context, t *token, file string, keys []tokenKey) error {
	b := &begun{home: s.config.Home, file: file}
	var err error
	if b.lock, err = b.home.TryLock(lockOf(file)); errors.Is(err, home.ErrLocked) {
		return nil // it is being made
	} else if err != nil {
		return err
	}
	defer b.leave()
	encoded, err := b.home.Read(file, maxBegun)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := wire.Decode(encoded, b); err != nil {
		return errors.Join(err, b.done()) // nothing can be learned from it
	}
	for _, u := range b.Keys {
		if u.certified(keys) {
			continue // the note came back, as out of a backup
		}
		params := wire.DeleteParams{ID: u.ID, Public: u.Public}
		if err := t.process.call(ctx, s.config.Timeout, wire.OpDelete, params, nil, nil); err == nil {
			t.cleared = append(t.cleared, u.ID)
		} else if problem.CodeOf(err) != problem.KeyAbsent {
			return err
		}
	}
	return b.done()
}

// certified says whether a certificate lies beside the key.
func (u unfinished) certified(keys []tokenKey) bool {
	for _, k := range keys {
		if bytes.Equal(k.ckaID, u.ID) && len(k.Chain) > 0 {
			return true
		}
	}
	return false
}

// was says whether clear has just deleted that key.
func (t *token) was(k tokenKey) bool {
	for _, id := range t.cleared {
		if bytes.Equal(id, k.ckaID) {
			return true
		}
	}
	return false
}

// finish gives a new key the ID that follows from its public half, where the token lets it, and takes its note back.
func (t *token) finish(ctx context.Context, b *begun, k *tokenKey) error {
	id, err := wire.KeyID(k.Public)
	if err != nil {
		return err
	}
	if err := b.also(id, k.object); err != nil {
		return err
	}
	var result wire.KeepResult
	if err := t.process.call(ctx, t.process.timeout, wire.OpKeep, wire.KeepParams{ID: id}, nil, &result); err != nil {
		return err
	}
	k.ckaID, k.object.ID = result.ID, result.ID
	return b.done()
}
