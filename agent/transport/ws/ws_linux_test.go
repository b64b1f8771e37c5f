package ws_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/testtool"
)

func TestAnotherUserOfThisComputerIsToldNotYours(t *testing.T) {
	if os.Geteuid() != 0 {
		testtool.Missing(t, "only root can be another user")
	}
	curl := testtool.Need(t, "curl")
	s := serve(t, nil, agent.Limits{})
	ask := func(uid uint32) string {
		cmd := exec.CommandContext(t.Context(), curl, "-s", "--max-time", "10", "-H", "Origin: "+portal, "http://"+s.host()+"/certsign/v1/hello")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.Output()
		require.NoError(t, err)
		return string(out)
	}
	assert.Equal(t, `{"agent":"certsign","protocol":1}`, ask(0))
	assert.Contains(t, ask(65534), `"code":"not_yours"`)
}
