package portal

import (
	"net/http"
	"strings"

	"certsign/ca"
	"certsign/internal/problem"
)

// maxComment is how long a clerk's comment may be, in characters.
const maxComment = 1000

type helpDesk struct {
	Requests []ca.OpenRequest
	// Ticket, Comment: the form that came back with a mistake.
	Ticket, Comment string
}

func (p *portal) getHelpDesk(w http.ResponseWriter, r *http.Request) error {
	return p.showHelpDesk(w, r, http.StatusOK, helpDesk{}, nil)
}

func (p *portal) showHelpDesk(w http.ResponseWriter, r *http.Request, status int, d helpDesk, wrong *shown) error {
	var err error
	if d.Requests, err = p.Desk.OpenRequests(r.Context(), account(r.Context()).ID); err != nil {
		return err
	}
	return p.show(w, r, status, "helpdesk", d, wrong)
}

func (p *portal) postHelpDesk(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	lang := langOf(ctx)
	d := helpDesk{Ticket: r.PathValue("ticket"), Comment: strings.TrimSpace(r.PostFormValue("comment"))}
	if len([]rune(d.Comment)) > maxComment {
		return p.showHelpDesk(w, r, http.StatusUnprocessableEntity, d, p.wrong(lang, "helpdesk.comment.long", "comment-"+d.Ticket))
	}
	var approve bool
	switch r.PostFormValue("decision") {
	case "approve":
		approve = true
	case "reject":
		if d.Comment == "" {
			// The person is told why, in these words.
			return p.showHelpDesk(w, r, http.StatusUnprocessableEntity, d, p.wrong(lang, "helpdesk.comment.missing", "comment-"+d.Ticket))
		}
	default:
		return problem.New(problem.BadRequest, "no decision in the form")
	}
	if _, err := p.Desk.Decide(ctx, account(ctx).ID, d.Ticket, approve, d.Comment); err != nil {
		if code := problem.CodeOf(err); code == problem.StateForbids {
			return p.showHelpDesk(w, r, statusOf(code), d, describe(lang, err))
		}
		return err
	}
	if approve {
		p.flash(ctx, "helpdesk.approved")
	} else {
		p.flash(ctx, "helpdesk.rejected")
	}
	http.Redirect(w, r, "/helpdesk", http.StatusSeeOther)
	return nil
}
