// Command certsign-pkcs11 loads one PKCS#11 module and does with it what the agent says, in the language of package wire on
// standard input and output. Drivers of cards are foreign code: here they can crash or hang without taking the agent along,
// and what they leave in memory is gone with the process. The agent starts one for each operation or open key and ends it
// afterwards; when its standard input closes, it ends by itself.
//
//	certsign-pkcs11 MODULE
//
// MODULE is an absolute path. A PIN comes over standard input and is never in an argument, the environment or a message.
// What the driver prints goes to standard error. It is built with cgo; the agent is not.
//
// It does not decide anything: consent, the choice of the token and what is signed are the agent's. PIN attempts are
// counted by what it is told: one OpOpen is at most one C_Login. From the second signature on it calls C_SignInit for the
// next one ahead, which signs nothing.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"certsign/agent/keystore/pkcs11/wire"
)

func main() {
	// The first thread: some drivers want all calls from the one that initialised them.
	runtime.LockOSThread()
	if len(os.Args) != 2 || !filepath.IsAbs(os.Args[1]) {
		fmt.Fprintln(os.Stderr, "certsign-pkcs11: error: usage: certsign-pkcs11 /path/of/module (certsign starts it)")
		os.Exit(2)
	}
	out, err := takeStdout()
	if err == nil {
		err = harden()
	}
	if err == nil {
		err = serve(&module{path: os.Args[1]}, os.Stdin, out, func() { os.Exit(1) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "certsign-pkcs11: error:", err)
		os.Exit(1)
	}
}

// serve answers calls until the input ends or OpEnd comes. A call that hangs when the input has ended is given up: a driver
// must not keep the process alive after the agent is gone.
func serve(m *module, in io.Reader, out io.Writer, giveUp func()) error {
	defer m.close()
	calls := &calls{in: bufio.NewReader(in), giveUp: giveUp}
	done := make(chan struct{})
	defer close(done)
	go calls.watch(done)
	for {
		next := calls.next()
		if next.err != nil {
			return next.failure()
		}
		var answer wire.Answer
		var err error
		calls.during(func() { answer, err = m.answer(next) })
		if err != nil {
			return err
		}
		if err := wire.Write(out, answer, nil); err != nil {
			return err
		}
		if next.call.Op == wire.OpEnd {
			return nil
		}
		calls.during(m.session.prepare)
	}
}

// answer carries out one call and forgets its secret.
func (m *module) answer(next message) (wire.Answer, error) {
	defer clear(next.secret)
	result, failure := m.do(next.call, next.secret)
	if failure != nil || result == nil {
		return wire.Answer{Failure: failure}, nil
	}
	if signed, ok := result.(wire.SignResult); ok {
		return wire.Answer{Signature: &signed}, nil
	}
	encoded, err := encode(result)
	return wire.Answer{Result: encoded}, err
}
