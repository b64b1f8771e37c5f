package xmldsig

// Binding is a namespace declaration in force: prefix "" is the default namespace.
type Binding struct {
	Prefix string
	URI    string
}

// absent stands in a scope for a prefix that has no value; it is no legal namespace name.
const absent = "\x00"

// scope is a stack of bindings in which the latest for a prefix is found in constant time.
type scope struct {
	entries []scopeEntry
	top     map[string]int // prefix → index in entries, plus one
}

type scopeEntry struct {
	Binding
	below int // the index, plus one, of the binding this one hides
}

func (s *scope) push(b Binding) {
	if s.top == nil {
		s.top = map[string]int{}
	}
	s.entries = append(s.entries, scopeEntry{b, s.top[b.Prefix]})
	s.top[b.Prefix] = len(s.entries)
}

func (s *scope) mark() int { return len(s.entries) }

func (s *scope) restore(mark int) {
	for i := len(s.entries) - 1; i >= mark; i-- {
		e := s.entries[i]
		if e.below == 0 {
			delete(s.top, e.Prefix)
		} else {
			s.top[e.Prefix] = e.below
		}
	}
	s.entries = s.entries[:mark]
}

// lookup returns the namespace name of a prefix, absent when there is none; for the default namespace that may be "".
func (s *scope) lookup(prefix string) string {
	if i := s.top[prefix]; i > 0 {
		return s.entries[i-1].URI
	}
	return absent
}

// each calls f with every binding in force.
func (s *scope) each(f func(Binding)) {
	for i, e := range s.entries {
		if s.top[e.Prefix] == i+1 && e.URI != absent {
			f(e.Binding)
		}
	}
}
