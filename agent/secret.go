package agent

import "log/slog"

// Secret is a PIN or password on its way from the person to one key store. It prints as nothing, in any format, so that
// it cannot reach a log by accident.
type Secret struct{ b []byte }

// NewSecret takes over b.
func NewSecret(b []byte) *Secret { return &Secret{b: b} }

// Bytes returns the secret itself; it is gone after Wipe.
func (s *Secret) Bytes() []byte {
	if s == nil {
		return nil
	}
	return s.b
}

// Clone returns a copy that is wiped on its own.
func (s *Secret) Clone() *Secret { return NewSecret(append([]byte(nil), s.Bytes()...)) }

// Wipe overwrites the secret.
func (s *Secret) Wipe() {
	if s == nil {
		return
	}
	clear(s.b)
	s.b = nil
}

const redacted = "(secret)"

func (s *Secret) String() string               { return redacted }
func (s *Secret) GoString() string             { return redacted }
func (s *Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s *Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
