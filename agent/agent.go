// Package agent is the domain of certsign, the program on a person's computer that holds keys, obtains customs
// certificates for them and signs what the person has seen and approved: sites and origins, consents, ceremonies, the
// journal, and the protocol that pages speak. It declares the interfaces that key stores, transports and prompts implement,
// and imports none of them.
//
// Everything that a page says is untrusted. A key store's answers are believed; its keys are used only under a Consent.
package agent
