package kubernetes

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// login is what we show to a cluster, as far as it tells when it ends: an API server says only "Unauthorized".
type login struct {
	token, tokenFile string
	cert             []byte
	certFile         string
	helper           bool // a helper program gives the credentials
	aws              bool
}

func loginOf(r *rest.Config) login {
	return login{
		token: r.BearerToken, tokenFile: r.BearerTokenFile, cert: r.CertData, certFile: r.CertFile,
		helper: r.ExecProvider != nil, aws: r.WrapTransport != nil,
	}
}

// what names it.
func (l login) what() string {
	switch {
	case l.aws:
		return "our AWS identity"
	case l.helper:
		return "what the helper program of the kubeconfig gave"
	case l.tokenFile != "":
		return "the token in " + l.tokenFile
	case l.token != "":
		return "our token"
	case l.certFile != "" || len(l.cert) > 0:
		return "our client certificate"
	}
	return "requests without credentials"
}

// advice says what to do if a cluster does not accept it.
func (l login) advice() string {
	if l.aws {
		return "give the AWS identity an access entry of the EKS cluster (`aws eks create-access-entry`)"
	}
	return "check the credentials: they may be of another cluster, revoked, or expired"
}

// expired says when it ended, "" if it did not or does not tell.
func (l login) expired(now time.Time) string {
	token := l.token
	if l.tokenFile != "" {
		if text, err := os.ReadFile(l.tokenFile); err == nil {
			token = strings.TrimSpace(string(text))
		}
	}
	if end, ok := tokenEnd(token); ok && !now.Before(end) {
		return fmt.Sprintf("%s expired at %s", l.what(), end.UTC().Format(time.RFC3339))
	}
	cert := l.cert
	if l.certFile != "" {
		if text, err := os.ReadFile(l.certFile); err == nil {
			cert = text
		}
	}
	if end, ok := certificateEnd(cert); ok && now.After(end) {
		return fmt.Sprintf("our client certificate expired at %s", end.UTC().Format(time.RFC3339))
	}
	return ""
}

// tokenEnd reads the end of a JSON web token, which those of service accounts are. It believes the token: whoever asks wants to know
// what to say, not whom to trust.
func tokenEnd(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Exp <= 0 || claims.Exp > 1e11 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Exp), 0), true
}

func certificateEnd(text []byte) (time.Time, bool) {
	block, _ := pem.Decode(text)
	if block == nil {
		return time.Time{}, false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, false
	}
	return cert.NotAfter, true
}
