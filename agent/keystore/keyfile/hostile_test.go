package keyfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// What is shown must be what is opened: else a person could choose a certificate from one file, and the other, which is as
// it should be, would be opened and sign for it.
func TestOfTwoFilesThatNameOneKeyOnlyTheOneThatIsOpenedIsShown(t *testing.T) {
	for name, created := range map[string]time.Duration{"a newer one": time.Hour, "an older one": -time.Hour, "one of the same moment": 0} {
		t.Run(name, func(t *testing.T) {
			dir := testtool.TempDir(t)
			store, e, private := seal(t, dir)
			real, forged := certify(t, private, "Jan Kowalski"), certify(t, private, "Anna Nowak")
			require.NoError(t, store.Attach(t.Context(), e.public.id, [][]byte{real}, answer(t, password)))
			sealed, err := os.ReadFile(e.path + extKey)
			require.NoError(t, err)
			for _, twin := range []string{"0-twin", "zz-twin"} {
				b, err := json.Marshal(publicFile{
					Version: publicVersion, Label: "Jan Kowalski", PublicKey: e.public.spki, Chain: [][]byte{forged}, Created: e.public.created.Add(created),
				})
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, twin+extPublic), b, 0o600))
				require.NoError(t, os.WriteFile(filepath.Join(dir, twin+extKey), sealed, 0o600))
			}

			keys, err := store.List(t.Context())
			require.NoError(t, err)
			require.Len(t, keys, 1)
			opened, err := store.find(e.public.id)
			require.NoError(t, err)
			assert.Equal(t, opened.key(), keys[0])
			content, secret, err := opened.unlock(t.Context(), answer(t, password), agent.PurposeSign)
			require.NoError(t, err)
			secret.Wipe()
			err = store.compare(t.Context(), opened, content)
			if string(keys[0].Chain[0]) == string(real) {
				assert.NoError(t, err)
			} else {
				assert.Equal(t, problem.IntegrityFailed, problem.CodeOf(err), "what was shown is not signed for")
			}
		})
	}
}
