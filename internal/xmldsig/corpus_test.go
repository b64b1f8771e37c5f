package xmldsig

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func read(t testing.TB, input string) *Document {
	t.Helper()
	d, err := Read([]byte(input), Limits{})
	require.NoError(t, err)
	return d
}
