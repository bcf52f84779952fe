package main

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

const (
	defaultServer = "127.0.0.1:18080"
	// retryAfter is the pause before a call is tried again. A server that restarts is back by then, or not soon.
	retryAfter = 200 * time.Millisecond
	// answerGrace is how much longer than the server we wait, so that it is the server who says what became of a change.
	answerGrace = 2 * time.Second
)

// address is where the server is, by flag or environment.
func (a *app) address() string {
	return cmp.Or(a.server, a.env("CROSSFADE_SERVER"), defaultServer)
}

// client connects on first use. The connection itself is made by the first call.
func (a *app) client() (crossfadev1.CrossfadeServiceClient, error) {
	if a.conn == nil {
		address := a.address()
		if err := checkAddress(address, a.tls().any()); err != nil {
			return nil, err
		}
		creds, err := a.credentials()
		if err != nil {
			return nil, err
		}
		conn, err := grpc.NewClient("passthrough:///"+address,
			grpc.WithTransportCredentials(creds), grpc.WithNoProxy(),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16*manifest.MaxBytes)),
			grpc.WithConnectParams(grpc.ConnectParams{
				MinConnectTimeout: 3 * time.Second,
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second},
			}))
		if err != nil {
			return nil, badFlag("server", address, err.Error())
		}
		a.conn = conn
	}
	return crossfadev1.NewCrossfadeServiceClient(a.conn), nil
}

// checkAddress refuses what is no address, and to speak in the clear to another machine.
func checkAddress(address string, encrypted bool) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return badFlag("server", address, "must be HOST:PORT, for example "+defaultServer)
	}
	ip, err := netip.ParseAddr(host)
	if encrypted || host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	f := badFlag("server", address, "is not on this machine, and without TLS everybody on the way could read and change what is said")
	f.problems[0].code = "not_loopback"
	f.problems[0].next = howToEncrypt
	return f
}

// method is a call of the API, as a method expression.
type method[Q, R any] func(crossfadev1.CrossfadeServiceClient, context.Context, *Q, ...grpc.CallOption) (*R, error)

// read makes a call that changes nothing.
func read[Q, R any](ctx context.Context, a *app, call method[Q, R], in *Q) (*R, error) {
	return invoke(ctx, a, a.timeout, call, in)
}

// write makes a call that changes something; service names it in errors, empty for several.
func write[Q, R any](ctx context.Context, a *app, call method[Q, R], in *Q, service string) (*R, error) {
	out, err := invoke(ctx, a, a.timeout+answerGrace, call, in)
	if err != nil {
		return nil, a.failureOfWrite(ctx, err, service)
	}
	return out, nil
}

// invoke makes a call, and once more if the server could not be reached. That is safe for changes as well, as they carry an
// idempotency key. If the second try fails too, the error is the one that leaves more in doubt.
func invoke[Q, R any](ctx context.Context, a *app, timeout time.Duration, call method[Q, R], in *Q) (*R, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := call(c, ctx, in)
	if !unreachable(err) || !pause(ctx, retryAfter) {
		return out, err
	}
	out, again := call(c, ctx, in)
	if unreachable(again) && !neverSent(err) {
		return nil, err
	}
	return out, again
}

// dialing is in the message of every error of a connection that could not be made.
const dialing = "Error while dialing"

// neverSent tells an error from before the call was on its way: no connection, or one on which both sides did not come to terms.
func neverSent(err error) bool {
	message := status.Convert(err).Message()
	return slices.ContainsFunc([]string{dialing, "authentication handshake failed", "transport: failed to write", "error reading server preface", remoteAlert}, func(s string) bool {
		return strings.Contains(message, s)
	})
}

// unreachable tells a server that could not be reached from one that says that something else is unavailable.
func unreachable(err error) bool {
	return status.Code(err) == codes.Unavailable && len(status.Convert(err).Details()) == 0
}

// pause waits, and reports whether it was not interrupted.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
