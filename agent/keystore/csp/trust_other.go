//go:build !windows

package csp

import "certsign/internal/problem"

func noStores() ([]Placed, error) {
	return nil, problem.New(problem.Unsupported, "certificate stores of the computer are on Windows only")
}

// Trust needs Windows.
func Trust(Authority) ([]Placed, error) { return noStores() }

// Distrust needs Windows.
func Distrust() ([]Placed, error) { return noStores() }

// Trusted needs Windows.
func Trusted() ([]Placed, error) { return noStores() }
