package ca

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"certsign/internal/problem"
)

// RFC 9106, 4: the second recommended option, for where 2 GiB a login are too much.
const (
	argonTime    = 3
	argonMemory  = 64 << 10 // KiB
	argonThreads = 4
	argonSalt    = 16
	argonTag     = 32
)

// maxPassword bounds the work that a login can ask for.
const maxPassword = 256

// passwords hashes at most two passwords at a time: each takes 64 MiB.
type passwords struct {
	slots chan struct{}
	dummy string // the hash that an unknown account's password is compared with
}

func newPasswords() *passwords {
	p := &passwords{slots: make(chan struct{}, 2)}
	p.dummy = encodeArgon(make([]byte, argonSalt), make([]byte, argonTag), argonTime, argonMemory, argonThreads)
	return p
}

// HashPassword returns an argon2id hash in PHC format.
func HashPassword(password string) string {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt)
	tag := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonTag)
	return encodeArgon(salt, tag, argonTime, argonMemory, argonThreads)
}

// CheckPasswordRules returns password_weak unless a portal password has at least 12 characters of four classes.
func CheckPasswordRules(password string) error {
	if !utf8.ValidString(password) || utf8.RuneCountInString(password) < 12 || len(password) > maxPassword {
		return problem.New(problem.PasswordWeak, "a password has 12 to %d characters", maxPassword)
	}
	var lower, upper, digit, other bool
	for _, r := range password {
		switch {
		case r >= '0' && r <= '9':
			digit = true
		case strings.ToUpper(string(r)) != string(r):
			lower = true
		case strings.ToLower(string(r)) != string(r):
			upper = true
		default:
			other = true
		}
	}
	if !lower || !upper || !digit || !other {
		return problem.New(problem.PasswordWeak, "a password has small and capital letters, digits and other characters")
	}
	return nil
}

func encodeArgon(salt, tag []byte, time, memory uint32, threads uint8) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, time, threads,
		b64.EncodeToString(salt), b64.EncodeToString(tag))
}

// check tells whether the password belongs to the hash; with an empty hash it takes as long and is false.
func (p *passwords) check(ctx context.Context, hash, password string) (bool, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	known := hash != ""
	if !known {
		hash = p.dummy
	}
	var version int
	var memory, time uint32
	var threads uint8
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, fmt.Errorf("stored password hash is malformed")
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, fmt.Errorf("stored password hash has an unknown version")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil {
		return false, fmt.Errorf("stored password hash has no parameters")
	}
	if memory > 1<<20 || time > 16 || time == 0 || threads == 0 {
		return false, fmt.Errorf("stored password hash asks for too much work")
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, fmt.Errorf("stored password hash has no salt")
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) == 0 {
		return false, fmt.Errorf("stored password hash has no tag")
	}
	got := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}
