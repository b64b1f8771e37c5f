package window

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"certsign/agent"
	"certsign/agent/prompt/wording"
)

// storeView is the page that asks where a key shall live.
type storeView struct {
	Origin    originView
	Site      string
	CA        string
	Stores    []*storeOffer
	Usable    bool // there is somewhere to make a key
	Suggested bool // the first choice is the page's wish
	Label     string

	language  wording.Language
	wish      string
	algorithm agent.KeyAlgorithm            // preselected
	keys      map[string]agent.KeyAlgorithm // by store: what was chosen instead
	offered   []agent.StoreOffer            // what Stores shows
	lost      bool                          // what was chosen went away: nothing is chosen again but by the person
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
	v := &storeView{Origin: viewOrigin(l, q.Origin), Site: q.Site, CA: q.CA, language: l, wish: q.Wish, algorithm: q.Algorithm,
		keys: map[string]agent.KeyAlgorithm{}}
	v.take(q.Stores)
	return v
}

// take shows other offers, and reports whether they are others. What was chosen stays chosen while it is there; a store is
// preselected only where none could be chosen.
func (v *storeView) take(offers []agent.StoreOffer) bool {
	if v.Stores != nil && reflect.DeepEqual(offers, v.offered) {
		return false
	}
	before, first := url.Values{}, !v.Usable && !v.lost
	for _, o := range v.Stores {
		if o.Checked {
			before.Set("store", o.Store)
		}
		for _, p := range o.Places {
			if p.Checked {
				before.Set("place-"+o.Store, p.ID)
			}
		}
	}
	v.offered, v.Stores, v.Usable = offers, []*storeOffer{}, false
	for _, offer := range offers {
		algorithm, asked := v.keys[offer.Store]
		if !asked {
			algorithm = v.algorithm
		}
		o := offerStore(v.language, offer, algorithm)
		v.Usable = v.Usable || o.Unavailable == ""
		v.Stores = append(v.Stores, o)
	}
	if first {
		v.preselect(v.wish)
	} else {
		v.keep(form(before))
	}
	return true
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

func (v *storeView) names() (all []string) {
	for _, o := range v.Stores {
		for _, p := range o.Places {
			if p.Unavailable == "" && o.Unavailable == "" {
				all = append(all, nameOf(p.Label, p.Detail))
			}
		}
	}
	return all
}

// keep marks places before stores: a store is not chosen any more when its place is another.
func (v *storeView) keep(f form) (gone bool) {
	if label := f.get("label"); f.has("label") && utf8.RuneCountInString(label) <= maxLabel {
		v.Label = label
	}
	chosen := f.get("store")
	for _, o := range v.Stores {
		if k := agent.KeyAlgorithm(f.get("algorithm-" + o.Store)); slices.Contains(o.Keys, k) {
			o.Key, v.keys[o.Store] = k, k
		}
		place := o.choose(f)
		if chosen != "" {
			o.Checked = o.Unavailable == "" && o.Store == chosen && (place != nil || !f.has("place-"+o.Store))
		}
	}
	if chosen == "" {
		return false
	}
	v.lost = !slices.ContainsFunc(v.Stores, func(o *storeOffer) bool { return o.Checked })
	v.Suggested = v.Suggested && !v.lost
	return v.lost
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
	v.keep(f)
	at := slices.IndexFunc(v.Stores, func(o *storeOffer) bool { return o.Unavailable == "" && o.Store == f.get("store") })
	if at < 0 {
		return agent.StoreAnswer{}, "store.error.store"
	}
	o := v.Stores[at]
	place := o.choose(f)
	if place == nil {
		return agent.StoreAnswer{}, "store.error.place"
	}
	if !slices.Contains(place.Keys, o.Key) {
		return agent.StoreAnswer{}, "store.error.key"
	}
	label := strings.TrimSpace(f.get("label"))
	if utf8.RuneCountInString(label) > maxLabel || wording.Visible(label) != label {
		return agent.StoreAnswer{}, "store.error.label"
	}
	return agent.StoreAnswer{Store: o.Store, Place: place.ID, Algorithm: o.Key, Label: label}, ""
}

// choose marks the place that the form names and returns it. A form that names none means the only one there is; where
// there are several, and nobody asked for one of them, the first that can be used stays marked.
func (o *storeOffer) choose(f form) (chosen *placeOffer) {
	key := "place-" + o.Store
	for _, p := range o.Places {
		named := f.has(key) && p.ID == f.get(key) || !f.has(key) && len(o.Places) == 1
		if p.Unavailable == "" && named {
			chosen = p
		}
	}
	if chosen != nil || f.get("store") == o.Store {
		for _, p := range o.Places {
			p.Checked = p == chosen
		}
	}
	return chosen
}
