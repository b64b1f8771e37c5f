//go:build !windows

package testtool

import "testing"

// NotWine does nothing here.
func NotWine(testing.TB, string) {}
