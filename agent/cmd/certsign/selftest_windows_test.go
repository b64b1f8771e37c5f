package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/testtool"
)

// TestTheWindowsStorePassesTheSelfTest runs the command as a person would, beside whatever keys are there.
func TestTheWindowsStorePassesTheSelfTest(t *testing.T) {
	testtool.Wine(t, "csp", "run certsign selftest itself")
	var out, errs bytes.Buffer
	status := run([]string{"--home", testtool.TempDir(t), "--lang", "en", "--json", "selftest"}, strings.NewReader(""), &out, &errs)
	require.Equal(t, exitDone, status, "%s%s", out.String(), errs.String())
	var report selftestJSON
	require.NoError(t, json.Unmarshal(out.Bytes(), &report))
	assert.Equal(t, "csp", report.Store)
	assert.Contains(t, report.System, "Wine")
	assert.Contains(t, report.Place, "Microsoft")
	passed := map[agent.KeyAlgorithm]int{}
	for _, c := range report.Checks {
		switch c.Outcome {
		case agent.CheckPassed:
			passed[c.Algorithm]++
		case agent.CheckSkipped:
			assert.True(t, slices.Contains([]agent.CheckName{agent.CheckPSS256, agent.CheckPSS384, agent.CheckPSS512, agent.CheckCancel,
				agent.CheckWrongPIN}, c.Check) || c.Algorithm == agent.P256 || c.Algorithm == agent.P384, "%+v", c)
			assert.NotEmpty(t, c.Reason)
		}
	}
	assert.Equal(t, map[agent.KeyAlgorithm]int{agent.RSA2048: 14, agent.RSA3072: 14}, passed)
}
