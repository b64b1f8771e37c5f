package wording

import (
	"strings"

	"certsign/agent"
)

// PINTitle is the title of the dialog that asks for a PIN or password. It holds nobody else's words.
func (l Language) PINTitle(req agent.PINRequest) string {
	switch {
	case newPIN(req):
		return l.Text("pin.title.pin")
	case req.New:
		return l.Text("pin.title.new")
	case req.PUK:
		return l.Text("pin.title.puk")
	case keyPassword(req):
		return l.Text("pin.title.key")
	case req.State == agent.PINLow:
		return l.Text("pin.title.low")
	case req.State == agent.PINFinal:
		return l.Text("pin.title.final")
	default:
		return l.Text("pin.title")
	}
}

// newPIN says whether a token's PIN is chosen, and not the password of a key file.
func newPIN(req agent.PINRequest) bool { return req.New && req.Max > 0 }

// keyPassword says whether the password of a key file is asked for: only a token has a PIN whose state is known.
func keyPassword(req agent.PINRequest) bool { return !req.New && !req.PUK && req.State == "" }

// PINPurpose says what the secret is for.
func (l Language) PINPurpose(p agent.Purpose) string {
	switch p {
	case agent.PurposeEnroll, agent.PurposeSign, agent.PurposeStore, agent.PurposeDelete, agent.PurposeImport, agent.PurposePIN:
		return l.Text("pin.purpose." + string(p))
	default:
		return l.Text("pin.purpose")
	}
}

// PINSubject says who asks for what, line by line: the purpose, and the site, document and key where they are known, with
// nothing hidden in them.
func (l Language) PINSubject(req agent.PINRequest) []string {
	lines := []string{l.PINPurpose(req.Purpose)}
	if req.Origin != "" {
		shown := Visible(req.Origin)
		if req.Origin == agent.LocalOrigin.String() {
			shown = l.Text("origin.local")
		}
		lines = append(lines, l.Text("pin.origin", shown))
	}
	switch {
	case req.Document == "":
	case req.Purpose == agent.PurposeStore:
		lines = append(lines, l.Text("pin.stored", l.Quote(req.Document)))
	default:
		lines = append(lines, l.Text("pin.document", l.Quote(req.Document)))
	}
	if req.Label != "" {
		lines = append(lines, l.Text("pin.key", Visible(req.Label)))
	}
	if req.Where != "" && req.Where != req.Label {
		lines = append(lines, l.Text("pin.where", Visible(req.Where)))
	}
	return lines
}

// PINAdvice says what to know before typing: the rules for a new PIN or password and that nobody can recover it, or how
// many tries the token allows.
func (l Language) PINAdvice(req agent.PINRequest) []string {
	switch {
	case newPIN(req):
		return []string{l.Text("pin.pin"), l.Text("pin.pin.length", req.Min, req.Max)}
	case req.New:
		return []string{l.Text("pin.new"), l.Text("pin.new.rules"), l.Text("pin.new.lost")}
	case req.State == agent.PINLow && req.PUK:
		return []string{l.Text("pin.low.puk")}
	case req.State == agent.PINLow:
		return []string{l.Text("pin.low")}
	case req.State == agent.PINFinal && req.PUK:
		return []string{l.Text("pin.final.puk")}
	case req.State == agent.PINFinal:
		return []string{l.Text("pin.final")}
	default:
		return nil
	}
}

// PINPrompts are what stands before the field, what stands before it the second time (for a new PIN or password only),
// and what is said when the two differ.
func (l Language) PINPrompts(req agent.PINRequest) (first, again, differ string) {
	switch {
	case newPIN(req):
		return l.Text("pin.prompt.pin"), l.Text("pin.prompt.again"), l.Text("pin.pin.differ")
	case req.New:
		return l.Text("pin.prompt.new"), l.Text("pin.prompt.repeat"), l.Text("pin.new.differ")
	case req.PUK:
		return l.Text("pin.prompt.puk"), "", ""
	case keyPassword(req):
		return l.Text("pin.prompt.key"), "", ""
	}
	return l.Text("pin.prompt"), "", ""
}

// PINIncorrect says that the last one was wrong, or "" when none was.
func (l Language) PINIncorrect(req agent.PINRequest) string {
	switch {
	case !req.Incorrect:
		return ""
	case newPIN(req):
		return l.Text("pin.incorrect.pin")
	case req.PUK:
		return l.Text("pin.incorrect.puk")
	case keyPassword(req):
		return l.Text("pin.incorrect.key")
	}
	return l.Text("pin.incorrect")
}

// PINUnfit says why what was typed cannot be the new PIN or password that is asked for, or "" when it can.
func (l Language) PINUnfit(req agent.PINRequest, typed []byte) string {
	if !newPIN(req) {
		return l.passwordMissing(typed)
	}
	if !agent.PINFits(typed, req.Min, req.Max) {
		return l.Text("pin.pin.length", req.Min, req.Max)
	}
	return ""
}

// passwordMissing says what a new password lacks under the portal's rules, or "" when it is good.
func (l Language) passwordMissing(password []byte) string {
	missing := agent.MissingPasswordRules(password)
	if len(missing) == 0 {
		return ""
	}
	texts := make([]string, len(missing))
	for i, rule := range missing {
		texts[i] = l.Text("pin.rule." + string(rule))
	}
	return l.Text("pin.new.missing", strings.Join(texts, ", "))
}
