package csp

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"

	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// computer keeps other tests away from the stores of the computer, and sees to it that nothing of a test stays there.
func computer(t *testing.T) {
	t.Helper()
	testtool.Wine(t, "trust", "the test writes to the certificate stores of the computer")
	clean := func() {
		for _, name := range []string{rootStore, issuerStore} {
			for _, certificate := range trials(t, name) {
				eraseAny(t, name, certificate)
			}
		}
	}
	clean() // of what a test left that was killed
	t.Cleanup(clean)
}

// trials returns what a store of the computer holds of these tests, whoever put it there.
func trials(t *testing.T, name string) (all [][]byte) {
	t.Helper()
	c, err := machine(name, false)
	require.NoError(t, err)
	defer c.close()
	require.NoError(t, c.each(func(ctx *windows.CertContext) bool {
		c, err := x509.ParseCertificate(encoded(ctx))
		if err == nil && slices.Equal(c.Subject.Organization, []string{"CertSign trials"}) {
			all = append(all, c.Raw)
		}
		return false
	}))
	return all
}

// eraseAny deletes a certificate from a store of the computer, also one that is not ours.
func eraseAny(t *testing.T, name string, der []byte) {
	t.Helper()
	c, err := machine(name, true)
	require.NoError(t, err)
	defer c.close()
	ctx, err := c.find(der)
	require.NoError(t, err)
	if ctx != nil {
		require.NoError(t, windows.CertDeleteCertificateFromStore(ctx))
	}
}

// foreign puts a certificate into a store of the computer as another program does, without limits, and with a description
// when there is one.
func foreign(t *testing.T, name string, der []byte, description string) {
	t.Helper()
	ctx, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &der[0], uint32(len(der)))
	require.NoError(t, err)
	defer func() { _ = windows.CertFreeCertificateContext(ctx) }()
	if description != "" {
		units, err := windows.UTF16FromString(description)
		require.NoError(t, err)
		require.NoError(t, setBlob(ctx, propDescription, unsafe.Slice((*byte)(unsafe.Pointer(&units[0])), 2*len(units))))
	}
	c, err := machine(name, true)
	require.NoError(t, err)
	defer c.close()
	require.NoError(t, windows.CertAddCertificateContextToStore(c.handle, ctx, windows.CERT_STORE_ADD_REPLACE_EXISTING, nil))
}

// usages is for what Windows itself says that a certificate in a store of the computer may be used; limited is false when
// it says for everything.
func usages(t *testing.T, name string, der []byte) (ids []string, limited bool) {
	t.Helper()
	c, err := machine(name, false)
	require.NoError(t, err)
	defer c.close()
	ctx, err := c.find(der)
	require.NoError(t, err)
	require.NotNil(t, ctx, "the certificate is not in %s", name)
	defer func() { _ = windows.CertFreeCertificateContext(ctx) }()
	get := crypt32.NewProc("CertGetEnhancedKeyUsage")
	var size uint32
	require.NoError(t, try(get, uintptr(unsafe.Pointer(ctx)), 0, 0, uintptr(unsafe.Pointer(&size))))
	words := make([]uint64, size/8+1)
	usage := (*windows.CertEnhKeyUsage)(unsafe.Pointer(&words[0]))
	_, _, last := get.Call(uintptr(unsafe.Pointer(ctx)), 0, uintptr(unsafe.Pointer(usage)), uintptr(unsafe.Pointer(&size)))
	for _, id := range unsafe.Slice(usage.UsageIdentifiers, usage.Length) {
		ids = append(ids, windows.BytePtrToString(id))
	}
	return ids, usage.Length > 0 || last != windows.Errno(windows.CRYPT_E_NOT_FOUND)
}

func TestWhatTheComputerIsMadeToTrustIsTrustedForDocumentsAndNotForServers(t *testing.T) {
	computer(t)
	root := trialRoot(t)
	issuer := trialIssuer(root)
	authority, err := ReadAuthority(root.DER, [][]byte{issuer.DER}, time.Now())
	require.NoError(t, err)
	for _, want := range []State{Added, Kept} { // the second time nothing is done
		placed, err := Trust(authority)
		require.NoError(t, err)
		require.Len(t, placed, 2)
		for i, p := range placed {
			assert.Equal(t, want, p.State)
			assert.Equal(t, []string{issuerStore, rootStore}[i], p.Store)
			assert.Equal(t, [][]byte{issuer.DER, root.DER}[i], p.Raw)
			assert.Equal(t, purposes, p.Purposes)
			ids, limited := usages(t, p.Store, p.Raw)
			assert.True(t, limited)
			assert.ElementsMatch(t, []string{"1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.9"}, ids)
			assert.NotContains(t, ids, "1.3.6.1.5.5.7.3.1", "no server")
			assert.NotContains(t, ids, "1.3.6.1.5.5.7.3.3", "no program")
		}
		assert.Len(t, trials(t, rootStore), 1)
		assert.Len(t, trials(t, issuerStore), 1)
		there, err := Trusted()
		require.NoError(t, err)
		require.Len(t, there, 2)
		assert.Equal(t, rootStore, there[0].Store)
		assert.True(t, there[0].Limited() && there[1].Limited())
	}
	gone, err := Distrust()
	require.NoError(t, err)
	require.Len(t, gone, 2)
	assert.Equal(t, Removed, gone[0].State)
	assert.Empty(t, trials(t, rootStore))
	assert.Empty(t, trials(t, issuerStore))
	gone, err = Distrust()
	assert.NoError(t, err)
	assert.Empty(t, gone)
}

func TestACertificateOfSomebodyElseStaysAsItIs(t *testing.T) {
	root := trialRoot(t)
	issuer := trialIssuer(root)
	authority, err := ReadAuthority(root.DER, [][]byte{issuer.DER}, time.Now())
	require.NoError(t, err)
	for name, description := range map[string]string{
		"without a description": "",
		"with one of its own":   "CertSign",
		"with another's mark":   mark(issuer.DER),
	} {
		t.Run(name, func(t *testing.T) {
			computer(t)
			foreign(t, rootStore, root.DER, description)
			placed, err := Trust(authority)
			require.NoError(t, err)
			require.Len(t, placed, 2)
			assert.Equal(t, Added, placed[0].State)
			assert.Equal(t, Foreign, placed[1].State)
			assert.False(t, placed[1].Limited(), "and that is said")
			assert.Error(t, placed[1].write(limit), "nor is it replaced when it came between two steps")
			assert.NoError(t, placed[1].takeOut())
			_, limited := usages(t, rootStore, root.DER)
			assert.False(t, limited)

			gone, err := Distrust()
			require.NoError(t, err)
			require.Len(t, gone, 1)
			assert.Equal(t, issuer.DER, gone[0].Raw)
			assert.Equal(t, [][]byte{root.DER}, trials(t, rootStore))
		})
	}
}

func TestALimitThatWasTakenAwayIsPutBack(t *testing.T) {
	computer(t)
	root := trialRoot(t)
	authority, err := ReadAuthority(root.DER, nil, time.Now())
	require.NoError(t, err)
	foreign(t, rootStore, root.DER, mark(root.DER)) // ours, without the purposes
	there, err := Trusted()
	require.NoError(t, err)
	require.Len(t, there, 1)
	assert.False(t, there[0].Limited())
	placed, err := Trust(authority)
	require.NoError(t, err)
	require.Len(t, placed, 1)
	assert.Equal(t, Restored, placed[0].State)
	_, limited := usages(t, rootStore, root.DER)
	assert.True(t, limited)
}

func TestACertificateWhoseLimitWindowsDoesNotKeepIsTakenOutAgain(t *testing.T) {
	computer(t)
	root := trialRoot(t)
	server, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}})
	require.NoError(t, err)
	for name, limit := range map[string]func(*windows.CertContext) error{
		"no limit":    func(*windows.CertContext) error { return nil },
		"another one": func(ctx *windows.CertContext) error { return setBlob(ctx, propPurposes, server) },
	} {
		_, err := Placed{Certificate: root.Certificate, Store: rootStore}.put(limit)
		assert.Equal(t, problem.DriverFailed, problem.CodeOf(err), name)
		assert.Empty(t, trials(t, rootStore), name)
	}
	_, err = Placed{Certificate: root.Certificate, Store: rootStore}.put(func(*windows.CertContext) error { return &failure{code: nteNotSupported} })
	assert.Error(t, err)
	assert.Empty(t, trials(t, rootStore), "what cannot be limited is never added")
}

// forbidden lets nobody write to a store of the computer until the test ends.
func forbidden(t *testing.T, name string) {
	t.Helper()
	set := func(sddl string) {
		d, err := windows.SecurityDescriptorFromString(sddl)
		require.NoError(t, err)
		dacl, _, err := d.DACL()
		require.NoError(t, err)
		require.NoError(t, windows.SetNamedSecurityInfo(`MACHINE\SOFTWARE\Microsoft\SystemCertificates\`+name, windows.SE_REGISTRY_KEY,
			windows.DACL_SECURITY_INFORMATION, nil, nil, dacl, nil))
	}
	t.Cleanup(func() { set("D:(A;CI;KA;;;WD)") })
	set("D:(A;CI;KR;;;WD)")
}

func TestWithoutTheRightsOfAnAdministratorNothingIsAddedAndThatIsSaid(t *testing.T) {
	computer(t)
	root := trialRoot(t)
	issuer := trialIssuer(root)
	authority, err := ReadAuthority(root.DER, [][]byte{issuer.DER}, time.Now())
	require.NoError(t, err)
	t.Run("the first write", func(t *testing.T) {
		forbidden(t, issuerStore)
		_, err := Trust(authority)
		assert.Equal(t, problem.Forbidden, problem.CodeOf(err), "%v", err)
		assert.ErrorIs(t, err, NotAdministrator)
		assert.Empty(t, trials(t, rootStore))
	})
	t.Run("the last: what was added before is gone again", func(t *testing.T) {
		forbidden(t, rootStore)
		_, err := Trust(authority)
		assert.ErrorIs(t, err, NotAdministrator)
		assert.Empty(t, trials(t, issuerStore))
	})
	t.Run("taking away", func(t *testing.T) {
		_, err := Trust(authority)
		require.NoError(t, err)
		forbidden(t, rootStore)
		gone, err := Distrust()
		assert.ErrorIs(t, err, NotAdministrator)
		require.Len(t, gone, 1, "the rest is taken away")
		assert.Equal(t, issuer.DER, gone[0].Raw)
		assert.Len(t, trials(t, rootStore), 1)
	})
}
