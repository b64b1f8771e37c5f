package keyfile

import (
	"bytes"
	"context"
	"os"

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
		Chain: e.public.chain, Created: e.public.created,
	}
}

func (e *entry) writePublic() error {
	b, err := e.public.marshal()
	if err != nil {
		return err
	}
	return writeFile(e.path+extPublic, b)
}

// unlock asks for the password, once, and opens the key file. The password is returned for writing the file again and
// must be wiped. The key in the file is the one that the entry names, or the answer is integrity_failed.
func (e *entry) unlock(ctx context.Context, pin agent.AskPIN, purpose agent.Purpose) (*content, *agent.Secret, error) {
	sealed, err := readFile(e.path+extKey, maxKeyFile)
	if err != nil {
		return nil, nil, problem.Wrap(problem.KeyAbsent, err, "the key file cannot be read")
	}
	if err := checkSealed(sealed, maxIterations); err != nil {
		return nil, nil, problem.Wrap(problem.IntegrityFailed, err, "the key file is damaged")
	}
	password, err := pin(ctx, agent.PINRequest{
		Label: e.public.label, Where: e.path + extKey, State: agent.PINOK, Purpose: purpose,
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
	return content, password, nil
}

// compare holds the public part against what was inside the key file. A missing chain is put right: a crash came between
// the two writes. Another chain means that somebody changed what the person was shown: it is put right too, but this key
// is not used with what was chosen by a wrong name.
func (e *entry) compare(content *content) error {
	same := len(e.public.chain) == len(content.chain)
	for i := 0; same && i < len(content.chain); i++ {
		same = bytes.Equal(e.public.chain[i], content.chain[i])
	}
	if same {
		return nil
	}
	missing := len(e.public.chain) == 0
	e.public.chain = content.chain
	if err := e.writePublic(); err != nil {
		return err
	}
	if missing {
		return nil
	}
	return problem.New(problem.IntegrityFailed,
		"the certificate shown for this key was not the one in the key file; it has been put right, look at it again")
}
