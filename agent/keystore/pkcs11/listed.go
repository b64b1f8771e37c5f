package pkcs11

import (
	"encoding/json"
	"slices"
)

// The note of the places and keys that were listed last: their IDs, and nothing else. A process that begins while another program
// logs in to a token, which then shows nothing, knows by it what to look for.
const (
	listedName = "listed.json"
	maxListed  = 1 << 20 // octets
)

// last returns the IDs that were listed last, by this process or by one before it.
func (s *Store) last() []string {
	if l := s.listed.Load(); l != nil {
		return *l
	}
	var last []string
	if s.config.Home != nil {
		if b, err := s.config.Home.Read(listedName, maxListed); err == nil && json.Unmarshal(b, &last) != nil {
			last = nil
		}
	}
	s.listed.CompareAndSwap(nil, &last)
	return last
}

// note remembers what is there. That it cannot be written down costs a longer look at most.
func (s *Store) note(there []string) {
	before := s.last()
	s.listed.Store(&there)
	if s.config.Home == nil || slices.Equal(before, there) {
		return
	}
	b, err := json.Marshal(there)
	if err == nil {
		err = s.config.Home.Write(listedName, b)
	}
	if err != nil {
		s.config.Log.Warn("what was listed is not noted", "err", err)
	}
}

// noteAlso remembers a token and a key that are there beside those that were listed.
func (s *Store) noteAlso(ids ...string) {
	there := slices.Clone(s.last())
	for _, id := range ids {
		if !slices.Contains(there, id) {
			there = append(there, id)
		}
	}
	s.note(there)
}
