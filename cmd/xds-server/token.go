package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/experiment"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// By its token a server knows its comparators: these get copies of requests, test identities, and the keys of hashes.
const (
	tokenFile     = "comparator.token" // in the data directory
	tokenVariable = "CROSSFADE_COMPARATOR_TOKEN"
	tokenBytes    = 32 // as so many pairs of hexadecimal digits
)

var errNoToken = fmt.Errorf("it does not hold %d hexadecimal digits and nothing else", 2*tokenBytes)

// openToken returns the token in a data directory, and makes one if there is none. Where the disk is of no help, it is one for this process and its
// child alone, which the log says: a server without experiments elsewhere is better than none.
func openToken(dir string, log *slog.Logger) secret {
	path := filepath.Join(dir, tokenFile)
	token, err := readToken(path)
	if err == nil {
		return token
	}
	token = newToken()
	if errors.Is(err, errNoToken) {
		log.Warn("the token of comparators is damaged; it is made anew", "file", path)
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) { // what only cannot be read may be good
		err = writeToken(path, token)
	}
	if err != nil {
		log.Warn("the token of comparators cannot be kept: those that run elsewhere are refused until the server is started again", "file", path, "error", err)
	}
	return token
}

func newToken() secret {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails, see its documentation
	return newSecret(hex.EncodeToString(b))
}

// readToken reads a token. No error of it shows what is in the file.
func readToken(path string) (secret, error) {
	data, err := readFile(path, maxSecret)
	if err != nil {
		return secret{}, err
	}
	text := strings.TrimSpace(string(data))
	if b, err := hex.DecodeString(text); err != nil || len(b) != tokenBytes {
		return secret{}, errNoToken
	}
	return newSecret(text), nil
}

// writeToken puts a token on the disk whole, for the user of this process alone.
func writeToken(path string, token secret) error {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(token.reveal() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(next))
	}
	return err
}

// comparatorToken is what a comparator shows: the token that it was started with, or that of a file, which is there when the control plane was
// started for the first time.
func (c *config) comparatorToken() (*tokenCredentials, error) {
	if c.tokenFile == "" {
		return &tokenCredentials{token: c.token}, nil
	}
	if _, err := readToken(c.tokenFile); err != nil {
		return nil, &policy.Error{
			Kind: policy.Unavailable, Code: "bad_file", Field: "--token-file", Value: c.tokenFile, Message: "is no token: " + reason(err),
			Next: "name the file " + tokenFile + " in the data directory of the control plane, or a copy of it",
		}
	}
	return &tokenCredentials{file: c.tokenFile}, nil
}

// tokenCredentials show a token with each call. A file is read anew each time: the control plane may have made another.
type tokenCredentials struct {
	token  secret
	file   string
	secure bool // the connection is encrypted
}

// GetRequestMetadata is called by gRPC.
func (t *tokenCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token := t.token
	if t.file != "" {
		var err error
		if token, err = readToken(t.file); err != nil {
			return nil, fmt.Errorf("read the token: %s", reason(err))
		}
	}
	return map[string]string{experiment.TokenHeader: experiment.TokenScheme + token.reveal()}, nil
}

// RequireTransportSecurity says whether it has to be there: without TLS, only addresses of this machine are asked.
func (t *tokenCredentials) RequireTransportSecurity() bool { return t.secure }
