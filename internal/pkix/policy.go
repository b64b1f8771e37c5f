package pkix

import (
	"maps"
	"slices"
)

// policyNode is one node of the policy graph of RFC 9618, 5: unlike the tree of RFC 5280 it has one node for each policy
// and depth, so that its size is bounded by the certificates' and not by their product.
type policyNode struct {
	policy   string
	expected map[string]bool
	parents  []*policyNode
}

// policyState is the policy part of the state of RFC 5280, 6.1.2.
type policyState struct {
	initial  []string // user-initial-policy-set; nil is any
	level    map[string]*policyNode
	explicit int
	mapping  int
	any      int
}

func newPolicyState(n int, in Input) *policyState {
	s := &policyState{initial: in.Policies, explicit: n + 1, mapping: n + 1, any: n + 1}
	if in.ExplicitPolicy {
		s.explicit = 0
	}
	if in.InhibitMapping {
		s.mapping = 0
	}
	if in.InhibitAny {
		s.any = 0
	}
	s.level = map[string]*policyNode{anyPolicy: {policy: anyPolicy, expected: map[string]bool{anyPolicy: true}}}
	return s
}

// process is RFC 5280, 6.1.3 (d) to (f). It reports whether the path may go on.
func (s *policyState) process(c *Certificate, last bool) bool {
	switch {
	case !c.hasPolicies:
		s.level = nil
	case s.level != nil:
		s.level = s.next(c, last)
	}
	return s.explicit > 0 || len(s.level) > 0
}

func (s *policyState) next(c *Certificate, last bool) map[string]*policyNode {
	parents := make(map[string][]*policyNode) // by the policies that they expect
	for _, node := range sorted(s.level) {
		for policy := range node.expected {
			parents[policy] = append(parents[policy], node)
		}
	}
	next := make(map[string]*policyNode)
	add := func(policy string, from []*policyNode) {
		next[policy] = &policyNode{policy: policy, expected: map[string]bool{policy: true}, parents: from}
	}
	for _, policy := range c.policies {
		switch {
		case policy == anyPolicy:
		case len(parents[policy]) > 0: // (d)(1)(i)
			add(policy, parents[policy])
		case s.level[anyPolicy] != nil: // (d)(1)(ii)
			add(policy, []*policyNode{s.level[anyPolicy]})
		}
	}
	if slices.Contains(c.policies, anyPolicy) && (s.any > 0 || !last && c.SelfIssued()) { // (d)(2)
		for policy, from := range parents {
			if next[policy] == nil {
				add(policy, from)
			}
		}
	}
	return next // (d)(3): what has no child is reached by nobody, for the graph is only walked upwards
}

// prepare is RFC 5280, 6.1.4 (a), (b) and (h) to (j), for the certificate that comes next. It reports whether it may.
func (s *policyState) prepare(c *Certificate) bool {
	mapped := make(map[string]map[string]bool)
	for _, m := range c.mappings {
		if m.issuer == anyPolicy || m.subject == anyPolicy { // (a)
			return false
		}
		if mapped[m.issuer] == nil {
			mapped[m.issuer] = make(map[string]bool)
		}
		mapped[m.issuer][m.subject] = true
	}
	for policy, subjects := range mapped {
		switch node := s.level[policy]; {
		case s.mapping == 0: // (b)(2)
			delete(s.level, policy)
		case node != nil: // (b)(1)
			node.expected = subjects
		case s.level[anyPolicy] != nil:
			s.level[policy] = &policyNode{policy: policy, expected: subjects, parents: s.level[anyPolicy].parents}
		}
	}
	if !c.SelfIssued() { // (h)
		s.explicit, s.mapping, s.any = max(s.explicit-1, 0), max(s.mapping-1, 0), max(s.any-1, 0)
	}
	lower(&s.explicit, c.explicitPolicy) // (i)
	lower(&s.mapping, c.inhibitMapping)
	lower(&s.any, c.inhibitAny) // (j)
	return true
}

// finish is RFC 5280, 6.1.5 (a), (b) and (g). It returns the user-constrained-policy-set, and whether the path passes.
func (s *policyState) finish(c *Certificate) ([]string, bool) {
	s.explicit = max(s.explicit-1, 0)
	if c.explicitPolicy == 0 {
		s.explicit = 0
	}
	set := s.authorised()
	if s.initial != nil && !slices.Contains(s.initial, anyPolicy) {
		if slices.Contains(set, anyPolicy) {
			set = s.initial // (g)(iii)(3)
		} else {
			set = slices.DeleteFunc(set, func(p string) bool { return !slices.Contains(s.initial, p) })
		}
	}
	return set, s.explicit > 0 || len(set) > 0
}

// authorised returns the policies, in terms of the anchor's own, that the whole path is valid for.
func (s *policyState) authorised() []string {
	found, seen := make(map[string]bool), make(map[*policyNode]bool)
	var climb func(*policyNode)
	climb = func(node *policyNode) {
		if seen[node] {
			return
		}
		seen[node] = true
		if node.policy == anyPolicy {
			return
		}
		for _, parent := range node.parents {
			if parent.policy == anyPolicy {
				found[node.policy] = true
			}
			climb(parent)
		}
	}
	for _, node := range s.level {
		if node.policy == anyPolicy {
			found[anyPolicy] = true
		}
		climb(node)
	}
	return slices.Sorted(maps.Keys(found))
}

func lower(to *int, value int) {
	if value >= 0 && value < *to {
		*to = value
	}
}

func sorted(level map[string]*policyNode) []*policyNode {
	out := make([]*policyNode, 0, len(level))
	for _, policy := range slices.Sorted(maps.Keys(level)) {
		out = append(out, level[policy])
	}
	return out
}
