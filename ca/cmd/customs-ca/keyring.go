package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"strings"
)

// keyring is what the server holds in memory. The root's key is not in it.
type keyring struct {
	root        *x509.Certificate
	issuing     *x509.Certificate
	issuingKey  crypto.Signer
	ocsp        *x509.Certificate
	ocspKey     crypto.Signer
	seal        *x509.Certificate
	sealKey     crypto.Signer
	server      *x509.Certificate
	serverKey   crypto.Signer
	provisioner *ecdsa.PrivateKey
}

func readKeyring(c *configuration) (*keyring, error) {
	password, err := readPassword(c.path(c.PasswordFile), "password-file in the configuration")
	if err != nil {
		return nil, err
	}
	k := &keyring{}
	if k.root, err = readCertificate(c.dir, rootName); err != nil {
		return nil, err
	}
	for name, into := range map[string]struct {
		certificate **x509.Certificate
		key         *crypto.Signer
	}{
		issuingName: {&k.issuing, &k.issuingKey}, ocspName: {&k.ocsp, &k.ocspKey},
		sealName: {&k.seal, &k.sealKey}, tlsName: {&k.server, &k.serverKey},
	} {
		if *into.certificate, *into.key, err = readPair(c.dir, name, password); err != nil {
			return nil, err
		}
	}
	k.provisioner, err = readProvisioner(c.dir, password)
	return k, err
}

// marker is "TEST " in a test hierarchy.
func (k *keyring) marker() string {
	if strings.HasPrefix(k.issuing.Subject.CommonName, "TEST ") {
		return "TEST "
	}
	return ""
}
