package wire_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent/keystore/pkcs11/wire"
)

func TestSignaturesTravelInAShortForm(t *testing.T) {
	var stream bytes.Buffer
	calls := []wire.Call{
		{Version: wire.Version, Op: wire.OpSign, Sign: &wire.SignParams{Data: []byte("a digest")}},
		{Version: wire.Version, Op: wire.OpSign, Sign: &wire.SignParams{Data: []byte("{}"), PSS: wire.SHA384}},
		{Version: 255, Op: wire.OpSign, Sign: &wire.SignParams{Data: []byte{}}},
	}
	for _, call := range calls {
		require.NoError(t, wire.Write(&stream, call, nil))
	}
	assert.NotContains(t, stream.String(), `"op"`)
	for _, want := range calls {
		var got wire.Call
		_, err := wire.Read(&stream, &got)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}

	want := wire.Answer{Signature: &wire.SignResult{Signature: []byte{1, 2, 3}}}
	require.NoError(t, wire.Write(&stream, want, nil))
	var got wire.Answer
	_, err := wire.Read(&stream, &got)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestMalformedShortFormsAreRefused(t *testing.T) {
	frame := func(body string) *bytes.Reader {
		return bytes.NewReader(append([]byte{0, 0, 0, byte(len(body)), 0, 0, 0, 0}, body...))
	}
	for name, body := range map[string]string{
		"the mark alone": "\x01", "no length": "\x01\x02", "a name cut short": "\x01\x02\x06sha", "a name that is not there": "\x01\x02\x01",
	} {
		var call wire.Call
		_, err := wire.Read(frame(body), &call)
		require.ErrorIs(t, err, wire.ErrFrame, name)
	}
	var other map[string]any
	_, err := wire.Read(frame("\x01\x02\x00x"), &other)
	require.ErrorIs(t, err, wire.ErrFrame, "where no short form belongs")

	var answer wire.Answer
	_, err = wire.Read(frame("\x01"), &answer)
	require.NoError(t, err)
	assert.Error(t, answer.Signature.Check(), "a signature without octets")
}
