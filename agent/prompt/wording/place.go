package wording

import (
	"certsign/agent"
	"certsign/internal/problem"
)

// PlaceProblem returns the code of why no key can be made at a place now, for Reason, or "".
func PlaceProblem(p agent.Place) string {
	switch {
	case p.Problem != "":
		return p.Problem
	case p.State == agent.PINLocked:
		return string(problem.PINLocked)
	case p.State == agent.PINUnset && !p.NewPIN:
		return string(problem.PINNotSet)
	case len(p.Keys) == 0:
		return string(problem.Unsupported)
	default:
		return ""
	}
}

// StoreName returns what the portal calls a store, and in words what it is; the latter is empty for one that it does not
// know.
func (l Language) StoreName(store string) (name, what string) {
	switch store {
	case "pkcs11", "csp", "keyfile":
		return l.Text("store." + store), l.Text("store." + store + ".what")
	default:
		return Visible(store), ""
	}
}

// OriginName returns an origin for people.
func (l Language) OriginName(o agent.Origin) string {
	if o == agent.LocalOrigin {
		return l.Text("origin.local")
	}
	return Visible(o.Display())
}
