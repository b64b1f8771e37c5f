package window

import (
	"slices"
	"strings"
	"unicode/utf8"

	"certsign/agent"
	"certsign/agent/prompt/wording"
)

// storeView is the page that asks where a key shall live.
type storeView struct {
	Origin      originView
	Site        string
	CA          string
	Stores      []*storeOffer
	Usable      bool // there is somewhere to make a key
	Suggested   bool // the first choice is the page's wish
	Label       string
	Recommended bool // hardware is offered
}

// storeOffer is one store as the portal names it.
type storeOffer struct {
	Store       string
	Title       string
	What        string
	Places      []*placeOffer
	Hardware    bool
	NewPassword bool
	Unavailable string // a problem code
	Checked     bool
	Keys        []agent.KeyAlgorithm // of all its places that can be used
	Key         agent.KeyAlgorithm   // preselected
}

// Single is the only place that can be used, for a store that leaves no choice.
func (o *storeOffer) Single() *placeOffer {
	if len(o.Places) == 1 {
		return o.Places[0]
	}
	return nil
}

type placeOffer struct {
	agent.Place
	Unavailable string // a problem code
	Checked     bool
}

func storePage(l wording.Language, q agent.StoreQuestion) *storeView {
	v := &storeView{Origin: viewOrigin(l, q.Origin), Site: q.Site, CA: q.CA}
	for _, offer := range q.Stores {
		o := offerStore(l, offer, q.Algorithm)
		v.Usable = v.Usable || o.Unavailable == ""
		v.Recommended = v.Recommended || o.Hardware && o.Unavailable == ""
		v.Stores = append(v.Stores, o)
	}
	v.preselect(q.Wish)
	return v
}

// preselect marks the store that the page wished for when it can be used, and else the first that can.
func (v *storeView) preselect(wish string) {
	for _, wanted := range []string{wish, ""} {
		for _, o := range v.Stores {
			if o.Unavailable == "" && (wanted == "" || o.Store == wanted) {
				o.Checked = true
				v.Suggested = wanted != ""
				return
			}
		}
	}
}

func offerStore(l wording.Language, offer agent.StoreOffer, algorithm agent.KeyAlgorithm) *storeOffer {
	o := &storeOffer{Store: offer.Store, Unavailable: offer.Unavailable}
	o.Title, o.What = l.StoreName(offer.Store)
	why := "store_unavailable"
	usable := false
	for _, p := range offer.Places {
		place := &placeOffer{Place: p, Unavailable: wording.PlaceProblem(p)}
		o.Hardware = o.Hardware || p.Hardware
		o.NewPassword = o.NewPassword || p.NewPIN
		if place.Unavailable == "" && offer.Unavailable == "" {
			place.Checked = !usable
			usable = true
			for _, k := range p.Keys {
				if !slices.Contains(o.Keys, k) {
					o.Keys = append(o.Keys, k)
				}
			}
		} else if place.Unavailable != "" {
			why = place.Unavailable
		}
		o.Places = append(o.Places, place)
	}
	if !usable && o.Unavailable == "" {
		o.Unavailable = why
	}
	if len(o.Keys) > 0 {
		o.Key = o.Keys[0]
		if slices.Contains(o.Keys, algorithm) {
			o.Key = algorithm
		}
	}
	return o
}

// maxLabel is how many characters a key's name may have.
const maxLabel = 40

// answer reads the form: only what was offered and can be used is accepted. It keeps the choices for showing them again.
func (v *storeView) answer(f form) (agent.StoreAnswer, string) {
	at := slices.IndexFunc(v.Stores, func(o *storeOffer) bool { return o.Unavailable == "" && o.Store == f.get("store") })
	if at < 0 {
		return agent.StoreAnswer{}, "store.error.store"
	}
	for i, o := range v.Stores {
		o.Checked = i == at
	}
	o := v.Stores[at]
	place := o.choose(f.get("place-" + o.Store))
	if place == nil {
		return agent.StoreAnswer{}, "store.error.place"
	}
	if k := agent.KeyAlgorithm(f.get("algorithm-" + o.Store)); slices.Contains(o.Keys, k) {
		o.Key = k
	}
	if !slices.Contains(place.Keys, o.Key) {
		return agent.StoreAnswer{}, "store.error.key"
	}
	label := strings.TrimSpace(f.get("label"))
	if utf8.RuneCountInString(label) > maxLabel || wording.Visible(label) != label {
		return agent.StoreAnswer{}, "store.error.label"
	}
	v.Label = label
	return agent.StoreAnswer{Store: o.Store, Place: place.ID, Algorithm: o.Key, Label: label}, ""
}

// choose returns the place with that ID, or the only one there is.
func (o *storeOffer) choose(id string) *placeOffer {
	for _, p := range o.Places {
		if p.Unavailable == "" && (p.ID == id || len(o.Places) == 1) {
			for _, other := range o.Places {
				other.Checked = other == p
			}
			return p
		}
	}
	return nil
}
