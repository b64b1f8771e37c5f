package agent

import "encoding/json"

// Protocol is the version of the language between page and agent; SubProtocol names it in the websocket handshake.
const (
	Protocol    = 1
	SubProtocol = "certsign.v1"
)

// FirstPort and LastPort bound the range in which an agent takes the first port that is free on both loopback addresses.
const (
	FirstPort = 18731
	LastPort  = 18794
)

// Frame is one JSON text frame, in either direction: a request has ID and Method, an answer ID and Result or Error, an
// event ID (of the request it belongs to, or "") and Event.
type Frame struct {
	ID     string          `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result any             `json:"result,omitempty"`
	Error  *WireError      `json:"error,omitempty"`
	Event  string          `json:"event,omitempty"`
	Data   any             `json:"data,omitempty"` // an event's
}

// WireError is a problem as a page sees it. Remedy is a stable id for the cure, equal to the code.
type WireError struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Remedy    string `json:"remedy"`
	Retryable bool   `json:"retryable"`
}

// The methods.
const (
	MethodStatus          = "status"
	MethodCertificates    = "certificates"
	MethodCertificateSave = "certificate.save"
	MethodEnroll          = "enroll"
	MethodEnrollFinish    = "enroll.finish"
	MethodSign            = "sign"
	MethodCancel          = "cancel"
)

// The events. Each carries the id of the request that it belongs to, except EventReady.
const (
	EventReady            = "ready"             // the origin is approved; data: StatusResult
	EventAwaitingApproval = "awaiting-approval" // the person is asked whether this site may talk to the agent; no id
	EventAwaitingUser     = "awaiting-user"     // data: {"for":"store"|"consent"|"pin"}
	EventTickets          = "tickets"           // sign: data: {"uploads":[ticket…]}, one per document in order
	EventProgress         = "progress"          // sign: data: {"document":i,"state":"uploaded"|"signed"|"failed"}
)

// StatusResult answers status.
type StatusResult struct {
	Agent        string   `json:"agent"` // "certsign"
	Version      string   `json:"version"`
	Protocol     int      `json:"protocol"`
	Origin       string   `json:"origin"` // connected as
	Site         string   `json:"site,omitempty"`
	Connected    bool     `json:"connected"`
	Stores       []string `json:"stores"`
	Formats      []string `json:"formats"`
	MaxDocument  int64    `json:"maxDocument"` // octets
	MaxDocuments int      `json:"maxDocuments"`
}

// CertificateResult is one certificate as a page sees it.
type CertificateResult struct {
	Certificate string   `json:"certificate"` // base64 DER
	Chain       []string `json:"chain"`       // base64 DER, without the certificate itself
	Serial      string   `json:"serial"`      // hex
	Subject     string   `json:"subject"`
	Issuer      string   `json:"issuer"`
	NotAfter    string   `json:"notAfter"` // RFC 3339
	Store       string   `json:"store"`
}

// CertificatesResult answers certificates.
type CertificatesResult struct {
	Certificates []CertificateResult `json:"certificates"`
}

// CertificateSaveParams hands over a certificate of the site's own CA, to be put beside its key, wherever that is.
type CertificateSaveParams struct {
	Certificates []string `json:"certificates"` // base64 DER: the certificate, then those above it
}

// CertificateSaveResult answers certificate.save: an entry for each key that the certificate is for. That is more than
// one only where a key was copied.
type CertificateSaveResult struct {
	Saved []SavedCertificate `json:"saved"`
}

// SavedCertificate is the certificate that lies beside a key now.
type SavedCertificate struct {
	CertificateResult
	State SaveState `json:"state"`
}

// SaveState is what became of a certificate that was to lie beside its key.
type SaveState string

// The states.
const (
	SaveStored  SaveState = "stored"
	SavePresent SaveState = "present" // it lay there already, and nothing was done
	SaveKept    SaveState = "kept"    // a newer one lies there, and stays
)

// EnrollParams asks for a key and a CSR. Store and Key are wishes: the person decides. CA, when given, must be the URL
// of the site's own CA, or the request is refused with ca_mismatch: a page never says where an agent enrols.
type EnrollParams struct {
	Store   string          `json:"store,omitempty"`
	Key     string          `json:"key,omitempty"`
	Label   string          `json:"label,omitempty"`
	CA      string          `json:"ca,omitempty"`
	Request json.RawMessage `json:"request,omitempty"`
}

// EnrollResult answers enroll.
type EnrollResult struct {
	Ceremony  string   `json:"ceremony"`
	CSR       string   `json:"csr"`       // base64 DER
	CSRSHA256 string   `json:"csrSHA256"` // hex, of the DER
	Evidence  Evidence `json:"evidence"`
}

// Evidence says where the key was made, as the agent saw it. It is the agent's word, not a token's attestation.
type Evidence struct {
	Store     string `json:"store"`
	Hardware  bool   `json:"hardware"`
	Algorithm string `json:"algorithm"`
	By        string `json:"by,omitempty"` // the token's manufacturer and model, or the provider
	// Local and NeverExtractable are "yes", "no", or absent where the store does not tell.
	Local            Stated `json:"local,omitempty"`
	NeverExtractable Stated `json:"neverExtractable,omitempty"`
}

// EnrollFinishParams hands over the portal's one-time token.
type EnrollFinishParams struct {
	Ceremony string `json:"ceremony"`
	Token    string `json:"token"`
}

// EnrollFinishResult answers enroll.finish.
type EnrollFinishResult struct {
	CertificateResult
}

// SignParams asks for signatures. Each document's bytes follow by POST to its ticket.
type SignParams struct {
	Documents []SignDocument  `json:"documents"`
	Format    string          `json:"format,omitempty"`    // "xades" when empty
	Packaging string          `json:"packaging,omitempty"` // "enveloped" when empty
	Level     string          `json:"level,omitempty"`     // "B-B" when empty
	Request   json.RawMessage `json:"request,omitempty"`
}

// SignDocument declares one document.
type SignDocument struct {
	Name   string `json:"name"`
	MIME   string `json:"mime"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hex
}

// SignResult answers sign: one entry per document, in order.
type SignResult struct {
	Results     []DocumentResult `json:"results"`
	Certificate string           `json:"certificate"` // base64 DER, the signer's
}

// DocumentResult is a document's ticket for download, or its error.
type DocumentResult struct {
	Ticket string     `json:"ticket,omitempty"`
	Name   string     `json:"name,omitempty"`
	Size   int64      `json:"size,omitempty"`
	SHA256 string     `json:"sha256,omitempty"`
	Error  *WireError `json:"error,omitempty"`
}

// CancelParams names the request to give up.
type CancelParams struct {
	ID string `json:"id"`
}
