package agent

// NewConsent lets the contract tests of stores give a consent, which outside of tests only the core can.
var NewConsent = newConsent

// TestChain makes certificates for tests.
var TestChain = testChain
