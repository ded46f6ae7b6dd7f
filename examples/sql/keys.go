package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/codegrant/codegrant/seal"
)

// findKeys returns the keys that seal the tokens: those of the environment or,
// so that the demonstration starts with one command, those of a file, which is
// made if there is none.
func findKeys(environment, file string, stdout io.Writer) (*seal.Keyring, error) {
	if environment != "" {
		return seal.ParseKeyring(environment)
	}
	text, err := os.ReadFile(file) //nolint:gosec // G304: the name is the operator's
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(file); err != nil {
			return nil, err
		}
		text, err = os.ReadFile(file) //nolint:gosec // G304: the name is the operator's
	}
	if err != nil {
		return nil, err
	}
	keys, err := seal.ParseKeyring(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	fmt.Fprintf(stdout, `Warning: the key that seals the tokens lies in %s, beside what it seals.
A real shop keeps it elsewhere and hands it over in CODEGRANT_KEYS.

`, file)
	return keys, nil
}

// makeKey writes a new key, and never over another one: without its key a
// token is lost.
func makeKey(file string) error {
	secret := make([]byte, 32)
	rand.Read(secret)
	temporary := file + "." + rand.Text()
	if err := writeFile(temporary, []byte("k1:"+base64.StdEncoding.EncodeToString(secret)+"\n")); err != nil {
		return err
	}
	err := os.Link(temporary, file) // fails where the file has appeared meanwhile
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(temporary), syncFolder(file))
}
