package wire

import "fmt"

// The short forms: an octet that starts no JSON, then
//
//	a call of OpSign: the version, the length of the hash's name for PSS, that name, the data
//	its result:       the signature
const shortMark = 0x01

func isShort(body []byte) bool { return len(body) > 0 && body[0] == shortMark }

// shorten returns the short form of a message that has one.
func shorten(message any) (body []byte, ok bool) {
	switch m := message.(type) {
	case Call:
		if m.Sign == nil || m.Op != OpSign || m.Version < 0 || m.Version > 255 || len(m.Sign.PSS) > 255 {
			return nil, false
		}
		body = append(make([]byte, 0, 3+len(m.Sign.PSS)+len(m.Sign.Data)), shortMark, byte(m.Version), byte(len(m.Sign.PSS)))
		return append(append(body, m.Sign.PSS...), m.Sign.Data...), true
	case Answer:
		if m.Signature == nil {
			return nil, false
		}
		return append([]byte{shortMark}, m.Signature.Signature...), true
	}
	return nil, false
}

// lengthen reads a short form into a message of the kind that has it.
func lengthen(body []byte, message any) error {
	switch m := message.(type) {
	case *Call:
		if len(body) < 3 || len(body) < 3+int(body[2]) {
			return fmt.Errorf("%w: %d octets", ErrFrame, len(body))
		}
		end := 3 + int(body[2])
		*m = Call{Version: int(body[1]), Op: OpSign, Sign: &SignParams{PSS: Hash(body[3:end]), Data: body[end:]}}
		return nil
	case *Answer:
		*m = Answer{Signature: &SignResult{Signature: body[1:]}}
		return nil
	}
	return fmt.Errorf("%w: a short form", ErrFrame)
}
