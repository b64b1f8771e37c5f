package problem

// Reach: the page and the agent cannot talk. Most of these are found by the page's library.
const (
	InsecureContext     Code = "insecure_context"
	MixedContentBlocked Code = "mixed_content_blocked"
	CSPBlocked          Code = "csp_blocked"
	FrameNotDelegated   Code = "frame_not_delegated"
	PermissionDenied    Code = "permission_denied"
	PermissionDismissed Code = "permission_dismissed"
	AgentNotRunning     Code = "agent_not_running"
	LaunchUnconfirmed   Code = "launch_unconfirmed"
	AgentUnreachable    Code = "agent_unreachable"
	Timeout             Code = "timeout"
)

// Trust: they can talk, and one of them must not.
const (
	OriginRejected        Code = "origin_rejected"
	HostRejected          Code = "host_rejected"
	NotYours              Code = "not_yours"
	PairingRequired       Code = "pairing_required"
	AgentIdentityMismatch Code = "agent_identity_mismatch"
	VersionUnsupported    Code = "version_unsupported"
	SiteUnknown           Code = "site_unknown"
	TicketInvalid         Code = "ticket_invalid"
	CAMismatch            Code = "ca_mismatch"
	CertificateMismatch   Code = "certificate_mismatch"
)

// Work: the operation itself.
const (
	BadRequest          Code = "bad_request"
	UnknownMethod       Code = "unknown_method"
	Unsupported         Code = "unsupported"
	Busy                Code = "busy"
	TooLarge            Code = "too_large"
	DocumentUnreadable  Code = "document_unreadable"
	IntegrityFailed     Code = "integrity_failed"
	XMLMalformed        Code = "xml_malformed"
	XMLDoctype          Code = "xml_doctype"
	NoSignature         Code = "no_signature"
	UserCancelled       Code = "user_cancelled"
	PromptUnavailable   Code = "prompt_unavailable"
	StoreUnavailable    Code = "store_unavailable"
	TokenAbsent         Code = "token_absent"
	TokenFull           Code = "token_full"
	DriverFailed        Code = "driver_failed"
	PINIncorrect        Code = "pin_incorrect"
	PINLocked           Code = "pin_locked"
	PINNotSet           Code = "pin_not_set"
	PasswordWeak        Code = "password_weak"
	KeyAbsent           Code = "key_absent"
	KeyWeak             Code = "key_weak"
	NoCertificate       Code = "no_certificate"
	CertificateExpired  Code = "certificate_expired"
	CeremonyUnknown     Code = "ceremony_unknown"
	ConsentSpent        Code = "consent_spent"
	CAUnreachable       Code = "ca_unreachable"
	Internal            Code = "internal_error"
	AddressRefused      Code = "address_refused"      // an address that is neither configured nor public
	EvidenceUnreachable Code = "evidence_unreachable" // a CRL, an OCSP response or an issuer cannot be fetched

	KeyGenerationForbidden Code = "key_generation_forbidden" // the token makes no keys for a user
	TokenUnrecognized      Code = "token_unrecognized"       // something is in the reader that the driver does not know
	DriverMismatch         Code = "driver_mismatch"          // a driver for another kind of processor, mostly a 32-bit one
	PINUnsuitable          Code = "pin_unsuitable"           // the token does not take it as a new PIN
	PUKLocked              Code = "puk_locked"
)

// CA: the customs CA and its portal.
const (
	LoginFailed          Code = "login_failed"
	SecondFactorRequired Code = "second_factor_required"
	SecondFactorFailed   Code = "second_factor_failed"
	NotEligible          Code = "not_eligible"
	TermsNotAccepted     Code = "terms_not_accepted"
	TooManyCertificates  Code = "too_many_certificates"
	KeyAlreadyCertified  Code = "key_already_certified"
	CSRInvalid           Code = "csr_invalid"
	TokenInvalid         Code = "token_invalid"
	TokenExpired         Code = "token_expired"
	TokenSpent           Code = "token_spent"
	TokenForOtherCSR     Code = "token_for_other_csr"
	CodeIncorrect        Code = "code_incorrect"
	CodeLocked           Code = "code_locked"
	StateForbids         Code = "state_forbids"
	ReasonForbidden      Code = "reason_forbidden"
	NotFound             Code = "not_found"
	Forbidden            Code = "forbidden"
	RateLimited          Code = "rate_limited"
)
