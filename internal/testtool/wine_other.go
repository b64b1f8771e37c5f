//go:build !windows

package testtool

import "testing"

// NotWine skips, with the reason, a test that Wine cannot pass; elsewhere it does nothing.
func NotWine(testing.TB, string) {}
