// Package exact asks through a proxy and knows every byte of the right answer: a request that failed is told from one that was cut short and
// from one that was answered wrong, which a status alone does not show.
//
// The origins asked must be of package origin, not plain: their answers tell what arrived. Nothing is retried.
package exact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Protocol is what is spoken.
type Protocol string

// The protocols.
const (
	HTTP1 Protocol = "http1"
	HTTP2 Protocol = "http2" // in clear text, with prior knowledge
	GRPC  Protocol = "grpc"
)

// Ask is a request and its right answer.
type Ask struct {
	Bytes  int    // of the body of the answer, or of the request if it is an upload; gRPC: of both
	Upload bool   // a POST with so many bytes, whose length is declared
	Stream bool   // gRPC: not one call with one message, but one stream with messages of at most a megabyte
	Origin string // who must answer; empty: anybody
}

// Kind is how a request went wrong.
type Kind string

// The kinds.
const (
	Failed    Kind = "failed"    // no answer, or an error
	Truncated Kind = "truncated" // an answer that ended too soon
	Wrong     Kind = "wrong"     // an answer to something else, or other bytes
)

// Fault is a request that went wrong. All errors of a [Client] are of this type.
type Fault struct {
	Kind Kind
	Err  error
}

// Error says how and why.
func (f *Fault) Error() string { return string(f.Kind) + ": " + f.Err.Error() }

// Unwrap returns why.
func (f *Fault) Unwrap() error { return f.Err }

// fault sorts an error; an end that comes too soon is a cut, whoever noticed it.
func fault(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &Fault{Truncated, err}
	}
	return &Fault{Failed, err}
}

func wrong(format string, args ...any) error { return &Fault{Wrong, fmt.Errorf(format, args...)} }

// Client has one connection, made when it is needed, and asks one thing at a time.
type Client interface {
	// Ask asks, and reads the answer to its end. ctx bounds both.
	Ask(ctx context.Context, a Ask) error
	// Close closes the connection.
	Close()
}

// New makes a client for the proxy at target, HOST:PORT.
func New(p Protocol, target, host string) Client {
	if p == GRPC {
		return &rpc{target: target, host: host, bodies: uploads{}}
	}
	return &web{target: target, host: host, bodies: uploads{}, transport: transport(p)}
}

// upload is the body of an upload, with its SHA-256 in hex.
type upload struct {
	body []byte
	sum  string
}

// uploads keeps the bodies of one client by length: to make one takes longer than to send it.
type uploads map[int]upload

// of returns a body without zeros and repetitions that a mix-up of pieces would not show in.
func (u uploads) of(bytes int) upload {
	if b, ok := u[bytes]; ok {
		return b
	}
	body := make([]byte, bytes)
	seed := sha256.Sum256(fmt.Append(nil, bytes))
	for at := 0; at < bytes; at += len(seed) {
		copy(body[at:], seed[:])
		seed = sha256.Sum256(seed[:])
	}
	sum := sha256.Sum256(body)
	u[bytes] = upload{body, hex.EncodeToString(sum[:])}
	return u[bytes]
}
