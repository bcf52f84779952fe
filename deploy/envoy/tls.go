package envoy

import (
	"net/netip"
	"path"
	"strings"
	"text/template"
)

// Files beside the bootstrap, in [TLS].SecretsDir. Envoy reads certificates anew only where a secret names them, and a secret of the connection to the
// control plane cannot come over it; and of a file it takes one secret.
const (
	CertificateFile = "xds-certificate.yaml"
	AuthorityFile   = "xds-authority.yaml"
)

// Names of the secrets in these files.
const (
	certificateSecret = "xds-certificate"
	authoritySecret   = "xds-authority"
)

// serverName is a name that the control plane may have.
type serverName struct {
	Type  string // of Envoy's SubjectAltNameMatcher
	Value string
}

// Names of secrets and their paths, for the template.
func (view) CertificateSecret() string { return certificateSecret }

// AuthoritySecret is that of the other.
func (view) AuthoritySecret() string { return authoritySecret }

// CertificatePath is where the file of the first is.
func (v view) CertificatePath() string { return path.Join(v.TLS.SecretsDir, CertificateFile) }

// AuthorityPath is where the file of the other is.
func (v view) AuthorityPath() string { return path.Join(v.TLS.SecretsDir, AuthorityFile) }

// serverNames are the names by which the control plane is known, and that which a proxy asks for.
func serverNames(given string, at []hostPort) (names []serverName, sni string) {
	all := []string{given}
	if given == "" {
		all = nil
		for _, a := range at {
			all = append(all, a.Host)
		}
	}
	for _, name := range all {
		kind := "DNS"
		if _, err := netip.ParseAddr(name); err == nil {
			kind = "IP_ADDRESS"
		} else if strings.HasPrefix(name, "spiffe://") {
			kind = "URI"
		}
		if kind == "DNS" && sni == "" {
			sni = name
		}
		names = append(names, serverName{kind, name})
	}
	return names, sni
}

// tls checks the files.
func (p *problems) tls(t TLS) {
	for _, f := range []struct{ field, path, what string }{
		{"tlsCert", t.CertFile, "the proxy's certificate"},
		{"tlsKey", t.KeyFile, "its key"},
		{"tlsCA", t.CAFile, "the authorities of the control plane"},
		{"secretsDir", t.SecretsDir, "the directory of " + CertificateFile + " and " + AuthorityFile},
	} {
		switch {
		case f.path == "":
			p.add(f.field, "path_missing", "", "is needed: "+f.what+", on the proxy's host", "TLS needs a certificate, its key and the authorities of the control plane")
		case !path.IsAbs(f.path):
			p.add(f.field, "path_relative", f.path, "an absolute path is needed: it is on the proxy's host, wherever Envoy is started", "")
		}
	}
	if strings.ContainsFunc(t.ServerName, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		p.add("tlsServerName", "name_invalid", t.ServerName, "a host name, an IP address or a SPIFFE id is needed", "")
	}
}

var secretTemplates = map[string]*template.Template{
	CertificateFile: template.Must(template.New("").Funcs(template.FuncMap{"q": quoted}).Parse(`resources:
- "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret
  name: ` + certificateSecret + `
  tls_certificate:
    certificate_chain: {filename: {{q .CertFile}}}
    private_key: {filename: {{q .KeyFile}}}
`)),
	AuthorityFile: template.Must(template.New("").Funcs(template.FuncMap{"q": quoted}).Parse(`resources:
- "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret
  name: ` + authoritySecret + `
  validation_context:
    trusted_ca: {filename: {{q .CAFile}}}
`)),
}

// Secrets returns the files beside a bootstrap, by name; none without TLS.
func Secrets(t TLS) (map[string]string, error) {
	out := map[string]string{}
	if !t.on() {
		return out, nil
	}
	for name, tmpl := range secretTemplates {
		var text strings.Builder
		if err := tmpl.Execute(&text, t); err != nil {
			return nil, err
		}
		out[name] = text.String()
	}
	return out, nil
}
