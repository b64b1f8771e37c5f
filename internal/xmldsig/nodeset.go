package xmldsig

import "slices"

// NodeSet is a set of nodes of one document, kept as ranges of document order: every set that the transforms here can
// make is a union of subtrees without other subtrees. An element's attributes and namespaces are in the set exactly when
// the element is.
type NodeSet struct {
	doc      *Document
	ranges   []interval // ascending, disjoint, not empty
	comments bool
}

type interval struct{ from, to uint32 }

// Subtree returns the set of n and everything below it, comments included.
func Subtree(n Node) NodeSet {
	if !n.Exists() {
		return NodeSet{}
	}
	from, to := n.extent()
	return NodeSet{n.doc, []interval{{from, to}}, true}
}

// WithoutComments returns the set without its comments.
func (s NodeSet) WithoutComments() NodeSet {
	s.comments = false
	return s
}

// Without returns the set without the subtrees of the given nodes.
func (s NodeSet) Without(tops ...Node) NodeSet {
	s.ranges = subtract(s.ranges, subtrees(s.doc, tops))
	return s
}

// Within returns the set of those nodes that are also in the subtrees of the given nodes.
func (s NodeSet) Within(tops ...Node) NodeSet {
	s.ranges = intersect(s.ranges, subtrees(s.doc, tops))
	return s
}

// With returns the set together with the subtrees of the given nodes.
func (s NodeSet) With(tops ...Node) NodeSet {
	s.ranges = unite(s.ranges, subtrees(s.doc, tops))
	return s
}

// Has tells whether a node is in the set.
func (s NodeSet) Has(n Node) bool {
	if n.doc != s.doc || !s.comments && n.Kind() == CommentNode {
		return false
	}
	i, found := slices.BinarySearchFunc(s.ranges, n.i, func(r interval, at uint32) int {
		switch {
		case r.to <= at:
			return -1
		case r.from > at:
			return 1
		}
		return 0
	})
	return found && s.ranges[i].from <= n.i
}

// HoldsAllOf tells whether the set has each node of other, comments aside.
func (s NodeSet) HoldsAllOf(other NodeSet) bool {
	if s.doc != other.doc {
		return false
	}
	for _, gap := range subtract(other.ranges, s.ranges) {
		for i := gap.from; i < gap.to; i++ {
			if s.doc.at(i).kind != CommentNode {
				return false
			}
		}
	}
	return true
}

func subtrees(d *Document, tops []Node) []interval {
	var out []interval
	for _, n := range tops {
		if n.doc != d {
			continue
		}
		from, to := n.extent()
		out = append(out, interval{from, to})
	}
	return merge(out)
}

func merge(in []interval) []interval {
	slices.SortFunc(in, func(a, b interval) int { return int(int64(a.from) - int64(b.from)) })
	out := in[:0]
	for _, r := range in {
		if n := len(out); n > 0 && r.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, r.to)
		} else if r.from < r.to {
			out = append(out, r)
		}
	}
	return out
}

func unite(a, b []interval) []interval { return merge(slices.Concat(a, b)) }

func subtract(a, b []interval) []interval {
	var out []interval
	for _, r := range a {
		for len(b) > 0 && b[0].to <= r.from {
			b = b[1:]
		}
		for _, cut := range b {
			if cut.from >= r.to {
				break
			}
			if cut.from > r.from {
				out = append(out, interval{r.from, cut.from})
			}
			r.from = min(max(r.from, cut.to), r.to)
		}
		if r.from < r.to {
			out = append(out, r)
		}
	}
	return out
}

func intersect(a, b []interval) []interval {
	var out []interval
	for len(a) > 0 && len(b) > 0 {
		if from, to := max(a[0].from, b[0].from), min(a[0].to, b[0].to); from < to {
			out = append(out, interval{from, to})
		}
		if a[0].to < b[0].to {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}
