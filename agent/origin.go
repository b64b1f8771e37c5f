package agent

// Origin is a page's origin exactly as the browser sent it in the handshake, already checked by ParseOrigin: scheme,
// host and port, never "null". The zero value is no origin.
type Origin struct{ serialized string }

// LocalOrigin is the person's own shell.
var LocalOrigin = Origin{serialized: "local"}

// String returns the ASCII serialization (RFC 6454, 6.2).
func (o Origin) String() string { return o.serialized }
