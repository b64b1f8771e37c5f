// Package xmldsig reads XML strictly and does what XML Signature needs done with it.
//
// It implements
//   - a non-validating, namespace-aware reader of XML 1.0 (fifth edition) and Namespaces in XML 1.0, in UTF-8, UTF-16,
//     US-ASCII, ISO-8859-1, ISO-8859-2 and windows-1250, into a compact read-only tree that knows the byte offset of each
//     tag in the original input;
//   - Canonical XML 1.0 and 1.1 and Exclusive XML Canonicalization 1.0, each with and without comments, over whole
//     documents and over sets of subtrees;
//   - the core of XML Signature 1.1: reading a ds:Signature, resolving references inside the document, the transforms
//     enveloped-signature, canonicalization, base64, and those XPath and XPath Filter 2.0 expressions that leave out or
//     keep named elements; making and checking signature values with RSA and ECDSA keys.
//
// It does not process document type declarations (a document that has one is refused), external entities, XSLT, general
// XPath, XInclude, or references that would have to be fetched: nothing here opens a file or a connection. DSA and HMAC
// values are neither made nor checked. It knows nothing of certificates, levels and verdicts.
//
// Its input is not trusted at all: size, depth, node counts, attributes, namespaces, transforms and the amount of
// data digested are limited; what breaks a rule of XML is a *problem.Error with the line and column, what breaks a rule of
// XML Signature is a fault in the parsed Signature. Neither text quotes the document.
package xmldsig

// Namespaces this package knows.
const (
	Namespace      = "http://www.w3.org/2000/09/xmldsig#"
	NamespaceXML   = "http://www.w3.org/XML/1998/namespace"
	namespaceXMLNS = "http://www.w3.org/2000/xmlns/"
	namespaceWSU   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	namespacePSS   = "http://www.w3.org/2007/05/xmldsig-more#"
)

// Limits bound what the reader accepts. A field that is zero takes its default.
type Limits struct {
	// Bytes is the longest input accepted, in octets as given. Default 64 MiB; never more than 512 MiB.
	Bytes int64
	// Depth is how deep elements may nest. Default 500.
	Depth int
	// Attributes is how many attributes and namespace declarations one element may have. Default 512.
	Attributes int
	// Namespaces is how many namespace prefixes may be in scope at once. Default 256.
	Namespaces int
	// Nodes counts elements, texts, comments, processing instructions, attributes and namespace declarations of the whole
	// document. Default 6 million, which bounds the tree to some 200 MB.
	Nodes int
	// Digested is how many octets the references of all signatures of one document may digest together. Default four
	// times Bytes.
	Digested int64
}

// MaxBytes returns the longest input accepted, the default filled in.
func (l Limits) MaxBytes() int64 { return l.filled().Bytes }

func (l Limits) filled() Limits {
	const most = 1 << 29
	if l.Bytes <= 0 {
		l.Bytes = 64 << 20
	}
	l.Bytes = min(l.Bytes, most)
	if l.Depth <= 0 {
		l.Depth = 500
	}
	if l.Attributes <= 0 {
		l.Attributes = 512
	}
	l.Attributes = min(l.Attributes, 1<<16-1)
	if l.Namespaces <= 0 {
		l.Namespaces = 256
	}
	if l.Nodes <= 0 {
		l.Nodes = 6_000_000
	}
	if l.Digested <= 0 {
		l.Digested = 4 * l.Bytes
	}
	return l
}
