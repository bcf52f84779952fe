package stack

import (
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/mtls"
)

// TLS are the files by which the parts of a stack know each other.
type TLS struct {
	Server mtls.Files                             // of the control plane
	Name   string                                 // in the certificate of the control plane, by which it is known
	Client mtls.Files                             // of [Stack.API]
	Proxy  func(id string) (cert, key, ca string) // of each proxy
}

// flags are those of the control plane.
func (t *TLS) flags() []string {
	if t == nil {
		return []string{"--dev"}
	}
	out := []string{"--tls-cert", t.Server.Cert, "--tls-key", t.Server.Key, "--tls-client-ca", t.Server.CA}
	if t.Server.CRL != "" {
		out = append(out, "--tls-crl", t.Server.CRL)
	}
	return out
}

// credentials are those of the connection to the API.
func (t *TLS) credentials() (credentials.TransportCredentials, error) {
	if t == nil {
		return insecure.NewCredentials(), nil
	}
	k, err := mtls.Open(t.Client, nil)
	if err != nil {
		return nil, err
	}
	return k.Dialer(t.Name), nil
}

// bootstrap returns what is in the bootstrap of a proxy, and writes what belongs beside it.
func (t *TLS) bootstrap(dir, id string) (envoy.TLS, error) {
	if t == nil {
		return envoy.TLS{}, nil
	}
	out := envoy.TLS{ServerName: t.Name, SecretsDir: filepath.Join(dir, id+"-tls")}
	out.CertFile, out.KeyFile, out.CAFile = t.Proxy(id)
	files, err := envoy.Secrets(out)
	if err != nil {
		return out, err
	}
	if err := os.MkdirAll(out.SecretsDir, 0o700); err != nil {
		return out, err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(out.SecretsDir, name), []byte(text), 0o600); err != nil {
			return out, fmt.Errorf("write the secrets of %s: %w", id, err)
		}
	}
	return out, nil
}
