package keyfile

import (
	"bytes"
	"context"
	"crypto/x509"
	"os"
	"slices"

	"certsign/agent"
	"certsign/internal/problem"
)

const (
	extKey    = ".p12"
	extPublic = ".json"
)

// entry is one key: the two files that start with path.
type entry struct {
	path   string
	public *publicPart
	disk   disk
}

// read reads the public part, and sees whether the key file is there.
func (e *entry) read() error {
	found, err := os.Stat(e.path + extKey)
	if err != nil {
		return err
	}
	if !found.Mode().IsRegular() {
		return problem.New(problem.KeyAbsent, "the key file is no file")
	}
	b, err := readFile(e.path+extPublic, maxPublicPart)
	if err != nil {
		return err
	}
	e.public, err = readPublicPart(b)
	return err
}

func (e *entry) key() agent.Key {
	return agent.Key{
		Store: Name, ID: e.public.id, Place: PlaceID, Label: e.public.label, Where: e.path + extKey,
		Algorithm: agent.AlgorithmOf(e.public.public), Public: e.public.public,
		Chain: e.public.chain, Created: e.public.created, Made: e.public.made,
	}
}

func (e *entry) writePublic() error {
	b, err := e.public.marshal()
	if err != nil {
		return err
	}
	return writeFile(e.disk, e.path+extPublic, b)
}

// unlock asks for the password, once, and opens the key file. The password is returned for writing the file again and
// must be wiped. The key in the file is the one that the entry names, or the answer is integrity_failed.
func (e *entry) unlock(ctx context.Context, pin agent.AskPIN, purpose agent.Purpose) (*content, *agent.Secret, error) {
	sealed, err := readFile(e.path+extKey, maxKeyFile)
	if err != nil {
		return nil, nil, problem.Wrap(problem.KeyAbsent, err, "the key file cannot be read")
	}
	iterations, err := checkSealed(sealed, maxIterations)
	if err != nil {
		return nil, nil, problem.Wrap(problem.IntegrityFailed, err, "the key file is damaged")
	}
	password, err := pin(ctx, agent.PINRequest{
		Label: e.public.label, Where: e.path + extKey, Purpose: purpose,
	})
	if err != nil {
		return nil, nil, err
	}
	content, err := decode(sealed, password)
	if err != nil {
		password.Wipe()
		return nil, nil, err
	}
	if !samePublic(content.private.Public(), e.public.public) {
		password.Wipe()
		return nil, nil, problem.New(problem.IntegrityFailed, "the key file holds another key than its public part says")
	}
	content.sealed, content.iterations = sealed, iterations
	return content, password, nil
}

// compare holds the public part against what was inside the key file. A missing chain is put right: a crash came between
// the two writes. Another chain means that somebody changed what the person was shown: it is put right too, but this key
// is not used with what was chosen by a wrong name.
func (s *Store) compare(ctx context.Context, e *entry, content *content) error {
	if slices.EqualFunc(e.public.chain, content.chain, sameCertificate) {
		return nil
	}
	missing := len(e.public.chain) == 0
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	e.public.chain = rawChain(content.chain)
	if err := e.writePublic(); err != nil {
		return err
	}
	if missing {
		return nil
	}
	return problem.New(problem.IntegrityFailed,
		"the certificate shown for this key was not the one in the key file; it has been put right, look at it again")
}

func sameCertificate(der []byte, c *x509.Certificate) bool { return bytes.Equal(der, c.Raw) }

func rawChain(chain []*x509.Certificate) [][]byte {
	raw := make([][]byte, len(chain))
	for i, c := range chain {
		raw[i] = c.Raw
	}
	return raw
}
