package ades

import "time"

// Indication is the main status of EN 319 102-1, 5.1.3.
type Indication string

// The indications.
const (
	TotalPassed   Indication = "TOTAL-PASSED"
	TotalFailed   Indication = "TOTAL-FAILED"
	Indeterminate Indication = "INDETERMINATE"
)

// SubIndication is the sub-indication of EN 319 102-1, table 6 and 7.
type SubIndication string

// The sub-indications.
const (
	FormatFailure                 SubIndication = "FORMAT_FAILURE"
	HashFailure                   SubIndication = "HASH_FAILURE"
	SigCryptoFailure              SubIndication = "SIG_CRYPTO_FAILURE"
	Revoked                       SubIndication = "REVOKED"
	Expired                       SubIndication = "EXPIRED"
	NotYetValid                   SubIndication = "NOT_YET_VALID"
	SigConstraintsFailure         SubIndication = "SIG_CONSTRAINTS_FAILURE"
	ChainConstraintsFailure       SubIndication = "CHAIN_CONSTRAINTS_FAILURE"
	CertificateChainGeneralFail   SubIndication = "CERTIFICATE_CHAIN_GENERAL_FAILURE"
	CryptoConstraintsFailure      SubIndication = "CRYPTO_CONSTRAINTS_FAILURE"
	PolicyProcessingError         SubIndication = "POLICY_PROCESSING_ERROR"
	SignaturePolicyNotAvailable   SubIndication = "SIGNATURE_POLICY_NOT_AVAILABLE"
	TimestampOrderFailure         SubIndication = "TIMESTAMP_ORDER_FAILURE"
	NoSigningCertificateFound     SubIndication = "NO_SIGNING_CERTIFICATE_FOUND"
	NoCertificateChainFound       SubIndication = "NO_CERTIFICATE_CHAIN_FOUND"
	RevokedNoPOE                  SubIndication = "REVOKED_NO_POE"
	RevokedCANoPOE                SubIndication = "REVOKED_CA_NO_POE"
	OutOfBoundsNoPOE              SubIndication = "OUT_OF_BOUNDS_NO_POE"
	OutOfBoundsNotRevoked         SubIndication = "OUT_OF_BOUNDS_NOT_REVOKED"
	RevocationOutOfBoundsNoPOE    SubIndication = "REVOCATION_OUT_OF_BOUNDS_NO_POE"
	CryptoConstraintsFailureNoPOE SubIndication = "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
	NoPOE                         SubIndication = "NO_POE"
	TryLater                      SubIndication = "TRY_LATER"
	SignedDataNotFound            SubIndication = "SIGNED_DATA_NOT_FOUND"
	CustomFailure                 SubIndication = "CUSTOM"
)

// Report is the verdict on one document.
type Report struct {
	File       string            `json:"file"`
	Policy     string            `json:"policy"`
	Signatures []SignatureReport `json:"signatures"`
}

// Indication returns TOTAL-PASSED when each signature passed, TOTAL-FAILED when one failed, INDETERMINATE otherwise; a
// report without signatures is INDETERMINATE.
func (r *Report) Indication() Indication {
	if len(r.Signatures) == 0 {
		return Indeterminate
	}
	worst := TotalPassed
	for _, s := range r.Signatures {
		switch s.Indication {
		case TotalFailed:
			return TotalFailed
		case Indeterminate:
			worst = Indeterminate
		}
	}
	return worst
}

// SignatureReport is the verdict on one signature.
type SignatureReport struct {
	ID                string        `json:"id"`
	Format            Format        `json:"format"`
	Level             Level         `json:"level"`
	Indication        Indication    `json:"indication"`
	SubIndication     SubIndication `json:"subIndication,omitempty"`
	SignedAt          *time.Time    `json:"signedAt,omitempty"` // claimed
	BestSignatureTime time.Time     `json:"bestSignatureTime"`
	Signer            Signer        `json:"signer"`
	Kind              string        `json:"kind,omitempty"` // "AdES", "AdES-QC", "QES", "AdESeal" …
	Covers            Coverage      `json:"covers"`
	Modifications     []string      `json:"modifications,omitempty"`
	Reasons           []string      `json:"reasons,omitempty"`

	// Chain is the certificates that were used, DER, the signer's first; nil when there was no such chain.
	Chain [][]byte `json:"-"`
	// RevocationReason and RevokedAt are set when the signer's certificate is revoked, or on hold (reason 6): the CRLReason
	// code and the moment.
	RevocationReason int        `json:"revocationReason,omitempty"`
	RevokedAt        *time.Time `json:"revokedAt,omitempty"`
}

// Signer is who signed, as the certificate names them.
type Signer struct {
	Subject  string `json:"subject"`            // RFC 4514
	Serial   string `json:"serial"`             // the certificate's, hex
	PersonID string `json:"personId,omitempty"` // the subject's serialNumber attribute, as EN 319 412-1 writes it
}
