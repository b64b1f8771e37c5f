// Package ca is the domain of customs-ca: persons and accounts, who may have a certificate, what stands in it, its status
// and the requests that change it, documents submitted and answered. It declares the interfaces that issuers and stores
// implement and imports none of them.
//
// Input from pages and agents is untrusted until checked here; the registry's data about persons are believed.
package ca
