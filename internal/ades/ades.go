// Package ades is the vocabulary of ETSI advanced electronic signatures that formats, validation and both programs
// share: formats and levels, a signature as parsed and not yet believed (Unverified), the evidence it is judged with,
// and the verdict (Report). Words and status strings are those of EN 319 102-1 and EN 319 132-1.
//
// It holds no algorithm and does no input or output.
package ades

import (
	"context"
	"crypto"
	"io"
	"time"
)

// Format is a signature format's name.
type Format string

// The formats.
const (
	XAdES Format = "XAdES"
	CAdES Format = "CAdES"
	PAdES Format = "PAdES"
	ASiCE Format = "ASiC-E"
	ASiCS Format = "ASiC-S"
)

// Level is a baseline level as EN 319 132-1 and its siblings name it.
type Level string

// The baseline levels.
const (
	LevelBB   Level = "B-B"
	LevelBT   Level = "B-T"
	LevelBLT  Level = "B-LT"
	LevelBLTA Level = "B-LTA"
)

// Packaging tells where the signature stands in relation to what it signs.
type Packaging string

// The packagings.
const (
	Enveloped  Packaging = "enveloped"
	Enveloping Packaging = "enveloping"
	Detached   Packaging = "detached"
)

// Content is a document's bytes, readable any number of times; *bytes.Reader and *io.SectionReader are Contents.
type Content interface {
	io.ReaderAt
	Size() int64
}

// Document is what a person hands in. Name is for display and for detached references, never a path to open.
type Document struct {
	Name    string
	MIME    string
	Content Content
}

// SignRequest is one document to be signed with one key.
type SignRequest struct {
	Document  Document
	Packaging Packaging
	Level     Level
	Profile   string        // "" or a named profile, such as "puesc"
	Key       crypto.Signer // RSA or ECDSA; Sign is called exactly once
	Chain     [][]byte      // DER, the signer's certificate first
	Time      time.Time     // the claimed signing time, written in UTC
}

// Codec is a signature format. A new one is a folder below format/ and a line in format.All.
type Codec interface {
	// Format returns the format's name.
	Format() Format
	// Recognise tells by content whether doc could hold, or for an unsigned document take, a signature of this format.
	Recognise(doc Document) bool
	// Sign writes the signed document to w. On error nothing useful was written. What is wrong with the document is a
	// *problem.Error: document_unreadable, xml_malformed, xml_doctype, too_large, unsupported.
	Sign(ctx context.Context, w io.Writer, req SignRequest) error
	// Parse reads every signature in doc without believing any. detached holds the documents that detached signatures
	// may refer to, by name. A document without a signature is the problem no_signature.
	Parse(ctx context.Context, doc Document, detached ...Document) (*Unverified, error)
}

// Trust says which certificates are believed without further proof.
type Trust interface {
	Anchors() []Anchor
}

// Anchors is a fixed list of anchors as a Trust.
type Anchors []Anchor

// Anchors returns the list.
func (a Anchors) Anchors() []Anchor { return a }

// Anchor is a trusted certificate and what it is trusted for.
type Anchor struct {
	Certificate []byte // DER
	Kind        string // what a signature that chains to it counts as, for example "AdES", "QES"; "" is "AdES"
}

// Evidence is all that a validation may use beside the signature itself: nothing is fetched while validating.
type Evidence struct {
	At           time.Time // the moment the validation is made for; zero is an error
	Certificates [][]byte  // DER, intermediates that are not in the signature
	CRLs         [][]byte  // DER
	OCSPs        [][]byte  // DER OCSPResponse
}
