package main

import (
	"cmp"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/crossfade-proxy/crossfade/internal/mtls"
)

// tlsFlags are the files by which the server and we know each other, as paths.
type tlsFlags struct{ ca, cert, key, serverName string }

// remoteAlert is in the message of every error by which the other side of TLS ends a connection.
const remoteAlert = "remote error: tls: "

// howToEncrypt is what to do where a server is on another machine.
const howToEncrypt = "give --tls-ca, --tls-cert and --tls-key, or CROSSFADE_TLS_CA, CROSSFADE_TLS_CERT and CROSSFADE_TLS_KEY: docs/tls.md"

// tls returns the files, by flag or environment.
func (a *app) tls() tlsFlags {
	return tlsFlags{
		ca: cmp.Or(a.tlsGiven.ca, a.env("CROSSFADE_TLS_CA")), cert: cmp.Or(a.tlsGiven.cert, a.env("CROSSFADE_TLS_CERT")), key: cmp.Or(a.tlsGiven.key, a.env("CROSSFADE_TLS_KEY")),
		serverName: cmp.Or(a.tlsGiven.serverName, a.env("CROSSFADE_TLS_SERVER_NAME")),
	}
}

// any says whether TLS is wanted at all.
func (t tlsFlags) any() bool { return t.ca != "" || t.cert != "" || t.key != "" }

// credentials returns those of the connection: TLS if a file is given, else clear text, which only this machine is spoken to in.
func (a *app) credentials() (credentials.TransportCredentials, error) {
	t := a.tls()
	if !t.any() {
		if t.serverName != "" {
			return nil, badFlag("tls-server-name", t.serverName, "is of no use without TLS: "+howToEncrypt)
		}
		return insecure.NewCredentials(), nil
	}
	for _, f := range []struct{ flag, value string }{{"tls-ca", t.ca}, {"tls-cert", t.cert}, {"tls-key", t.key}} {
		if f.value == "" {
			return nil, badFlag(f.flag, "", "is missing: --tls-ca, --tls-cert and --tls-key come together")
		}
	}
	k, err := mtls.Open(mtls.Files{Cert: t.cert, Key: t.key, CA: t.ca}, nil)
	var bad *mtls.FileError
	if errors.As(err, &bad) {
		flag := map[string]string{t.ca: "tls-ca", t.key: "tls-key", t.cert: "tls-cert"}[bad.Path]
		return nil, badFlag(flag, bad.Path, bad.Err.Error())
	}
	if err != nil {
		return nil, err
	}
	return listening{k.Dialer(t.serverName)}, nil
}

// tlsProblem puts into words that the server and we do not believe each other, or that only one of both speaks TLS.
func (a *app) tlsProblem(s *status.Status) (problem, exitCode, bool) {
	text := s.Message()
	_, said, refused := strings.Cut(text, remoteAlert)
	_, unbelieved, strange := strings.Cut(text, "failed to verify certificate: x509: ")
	encrypted := a.tls().any()
	p := problem{code: "tls", value: a.address()}
	switch {
	case s.Code() != codes.Unavailable:
		return p, 0, false
	case refused:
		p.message = "the server does not take the certificate of --tls-cert: " + strings.TrimSuffix(said, "\"")
		p.next = "is it of an authority that the server knows (--tls-client-ca of xds-server), for clients, in its time, and not revoked? The server's log says what is wrong"
		return p, exitDenied, true
	case strange:
		p.message = "what answers there is not believed to be the server: " + strings.TrimSuffix(unbelieved, "\"")
		p.next = "check --tls-ca, and --tls-server-name where the certificate has another name than the host of --server"
		return p, exitUnavailable, true
	case encrypted && strings.Contains(text, "does not look like a TLS handshake"):
		p.message, p.next = "what answers there does not speak TLS", "is it the port of --api-listen, and was the server started with --tls-cert?"
		return p, exitUnavailable, true
	case !encrypted && strings.Contains(text, "server preface"):
		p.message, p.next = "what answers there is no server without TLS", "if it speaks TLS, "+howToEncrypt
		return p, exitUnavailable, true
	}
	return p, 0, false
}
