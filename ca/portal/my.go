package portal

import (
	"context"
	"net/http"
	"strings"

	"certsign/ca"
	"certsign/internal/problem"
)

// personOf returns the account's person, nil when none is registered yet.
func (p *portal) personOf(ctx context.Context) (*ca.Person, error) {
	person, err := p.Desk.Person(ctx, account(ctx).ID)
	if problem.CodeOf(err) == problem.NotFound || problem.CodeOf(err) == problem.NotEligible {
		return nil, nil
	}
	return person, err
}

type desktop struct {
	Person       *ca.Person
	Certificates []ca.Certificate
	Expiring     []ca.Certificate
	Requests     int // that wait
	Drafts       int
	Eligibility  ca.Eligibility
}

func (p *portal) getDesktop(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	id := account(ctx).ID
	var d desktop
	var err error
	if d.Person, err = p.personOf(ctx); err != nil {
		return err
	}
	if d.Eligibility, err = p.Desk.Eligibility(ctx, id); err != nil {
		return err
	}
	if d.Certificates, err = p.Desk.Certificates(ctx, id); err != nil {
		return err
	}
	for _, c := range d.Certificates {
		if c.State == ca.Active && c.DaysLeft(p.Now()) <= 30 {
			d.Expiring = append(d.Expiring, c)
		}
	}
	requests, err := p.Desk.Requests(ctx, id)
	if err != nil {
		return err
	}
	for _, q := range requests {
		if q.State == ca.Submitted {
			d.Requests++
		}
	}
	documents, err := p.Desk.Documents(ctx, id)
	if err != nil {
		return err
	}
	for _, doc := range documents {
		if doc.State != ca.Sent {
			d.Drafts++
		}
	}
	return p.show(w, r, http.StatusOK, "desktop", d)
}

type myData struct {
	Person      *ca.Person
	Eligibility ca.Eligibility
}

func (p *portal) getMyData(w http.ResponseWriter, r *http.Request) error {
	person, err := p.personOf(r.Context())
	if err != nil {
		return err
	}
	e, err := p.Desk.Eligibility(r.Context(), account(r.Context()).ID)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "data", myData{Person: person, Eligibility: e})
}

func (p *portal) getRequests(w http.ResponseWriter, r *http.Request) error {
	requests, err := p.Desk.Requests(r.Context(), account(r.Context()).ID)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "requests", requests)
}

type requestView struct {
	Request     ca.Request
	Certificate *ca.Certificate
}

func (p *portal) getRequest(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	requests, err := p.Desk.Requests(ctx, account(ctx).ID)
	if err != nil {
		return err
	}
	for _, q := range requests {
		if q.Ticket == r.PathValue("ticket") {
			c, err := p.Desk.Certificate(ctx, account(ctx).ID, q.Serial)
			if err != nil {
				return err
			}
			return p.show(w, r, http.StatusOK, "request", requestView{Request: q, Certificate: c})
		}
	}
	return problem.New(problem.NotFound, "no such request of yours")
}

// maskedID writes a person's identity so that its owner knows it and a bystander does not: the last four characters stay.
func maskedID(identity string) string {
	kind, number, found := strings.Cut(identity, "-")
	if !found {
		kind, number = "", identity
	}
	runes := []rune(number)
	for i := range runes {
		if i < len(runes)-4 {
			runes[i] = '•'
		}
	}
	// EN 319 412-1, 5.1.3: PNO and the country stand before the number; in Poland it is the PESEL.
	switch {
	case kind == "PNOPL":
		return "PESEL " + string(runes)
	case kind == "":
		return string(runes)
	}
	return kind + "-" + string(runes)
}
