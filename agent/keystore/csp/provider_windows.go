package csp

// The providers in which new keys are made.
const (
	rsaProvider = "Microsoft Enhanced RSA and AES Cryptographic Provider"
	cngProvider = "Microsoft Software Key Storage Provider"
)

// place is what people are shown; it is the store's name in every language of Windows.
const place = `Windows (CurrentUser\MY)`

// hardware names Microsoft's providers that keep keys in a card or in the TPM. Of other makers' providers it is not known.
var hardware = map[string]bool{
	"Microsoft Base Smart Card Crypto Provider": true,
	"Microsoft Smart Card Key Storage Provider": true,
	"Microsoft Platform Crypto Provider":        true,
	"Microsoft Passport Key Storage Provider":   true,
}

// older names Microsoft's software providers that know no SHA-2. They keep keys in the same place as rsaProvider, which does.
var older = map[string]bool{
	"Microsoft Base Cryptographic Provider v1.0":     true,
	"Microsoft Enhanced Cryptographic Provider v1.0": true,
	"Microsoft Strong Cryptographic Provider":        true,
	"Microsoft RSA Signature Cryptographic Provider": true,
	"Microsoft RSA SChannel Cryptographic Provider":  true,
}
