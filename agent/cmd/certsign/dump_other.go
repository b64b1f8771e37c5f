//go:build !linux && !windows

package main

// forbidTracing does nothing here: macOS asks the person itself before another program may do it.
func forbidTracing() error { return nil }
