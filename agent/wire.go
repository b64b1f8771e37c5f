package agent

import (
	"strings"

	"certsign/internal/ades"
	"certsign/internal/problem"
)

// NewWireError returns a problem as pages see it. Message is what exactly happened where that is known, for developers;
// people are shown the catalogue's text for the code.
func NewWireError(code problem.Code, detail string) *WireError {
	e := problem.Describe(code, problem.English)
	if detail == "" {
		detail = e.Message
	}
	return &WireError{Code: string(e.Code), Message: detail, Remedy: string(e.Code), Retryable: e.Retryable}
}

// CloseCode is the websocket close code that says a problem (RFC 6455, 7.4.2: 4000 to 4999 are private). The reason is
// the problem's code itself.
func CloseCode(code problem.Code) int {
	switch code {
	case problem.PairingRequired:
		return 4401
	case problem.OriginRejected:
		return 4403
	case problem.SiteUnknown:
		return 4404
	case problem.Timeout:
		return 4408
	case problem.Busy:
		return 4409
	case problem.TooLarge:
		return 4413
	case problem.NotYours, problem.HostRejected:
		return 4421
	case problem.VersionUnsupported:
		return 4426
	case problem.RateLimited:
		return 4429
	case problem.PromptUnavailable:
		return 4503
	case problem.Internal:
		return 4500
	}
	return 4400
}

// wireFormat is a format's name on the wire and the command line: "xades", "asic-e".
func wireFormat(f ades.Format) string { return strings.ToLower(string(f)) }
