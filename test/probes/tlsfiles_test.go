package probes

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
)

const tlsDesign = "docs/design/tls.md"

// shown is an origin that says in x-origin which certificate it was shown, on a connection of its own for each request.
func shown(t *testing.T) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-origin", r.TLS.PeerCertificates[0].SerialNumber.String())
		w.Header().Set("connection", "close")
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestFilesOfTLS: which certificates of files Envoy reads again.
func TestFilesOfTLS(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.New(t, "authority")
	plain, link := filepath.Join(dir, "plain"), filepath.Join(dir, "link")
	for _, d := range []string{plain, link} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// rename puts a certificate and its key there one after the other.
	rename := func() string {
		c := ca.Issue(certtest.Spec{Name: "proxy"})
		certtest.Replace(t, filepath.Join(plain, "tls.crt"), c.PEM)
		certtest.Replace(t, filepath.Join(plain, "tls.key"), c.Key)
		return c.Serial.String()
	}
	// swap has both change at once, as a mounted secret of Kubernetes does: through a link to a directory.
	swap := func() string {
		c := ca.Issue(certtest.Spec{Name: "proxy"})
		version := filepath.Join(link, "..v"+c.Serial.String())
		if err := os.Mkdir(version, 0o700); err != nil {
			t.Fatal(err)
		}
		certtest.Replace(t, filepath.Join(version, "tls.crt"), c.PEM)
		certtest.Replace(t, filepath.Join(version, "tls.key"), c.Key)
		for from, to := range map[string]string{"..next": filepath.Base(version), "tls.crt": "..data/tls.crt", "tls.key": "..data/tls.key"} {
			if err := os.Symlink(to, filepath.Join(link, from)); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
		if err := os.Rename(filepath.Join(link, "..next"), filepath.Join(link, "..data")); err != nil {
			t.Fatal(err)
		}
		return c.Serial.String()
	}
	rename()
	swap()
	pair := func(d string) string {
		return fmt.Sprintf("{certificate_chain: {filename: %s/tls.crt}, private_key: {filename: %s/tls.key}}", d, d)
	}
	const kind = `"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret`
	secret := func(name, d string) string {
		return fmt.Sprintf("- {%s, name: %s, tls_certificate: %s}\n", kind, name, pair(d))
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("resources:\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bySecret := func(name, path string) string {
		return fmt.Sprintf("tls_certificate_sds_secret_configs: [{name: %s, sds_config: {path_config_source: {path: %s}, resource_api_version: V3}}]", name, path)
	}
	at := shown(t)
	var clusters []any
	routes := "[" + fence
	for name, how := range map[string]string{
		"named":  "tls_certificates: [" + pair(plain) + "]",
		"plain":  bySecret("plain", write("plain.yaml", secret("plain", plain))),
		"link":   bySecret("link", write("link.yaml", secret("link", link))),
		"beside": bySecret("beside", write("both.yaml", secret("beside", plain)+secret("other", link))),
	} {
		c := parse(t, `{connect_timeout: 1s, transport_socket: {name: envoy.transport_sockets.tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: {`+how+`}}}}`).(object)
		c["name"], c["load_assignment"] = name, assignment(t, name, at)
		clusters = append(clusters, c)
		routes += fmt.Sprintf(", {match: {prefix: /%s}, route: {cluster: %s}}", name, name)
	}
	setting := setup{levers: "{}", more: string(asJSON(t, clusters)), routes: routes + ", {match: {prefix: /}, direct_response: {status: 204}}]"}
	each(t, setting, func(b *bench) {
		b.fact("a file of secrets holds one", tlsDesign, func(b *bench) {
			same(b, "answer by the one of two", b.get("/beside").String(), "503")
		})
		b.fact("files that a secret of a file names are read again when they are replaced, and when the link changes through which they are reached; files that a cluster names are not", tlsDesign, func(b *bench) {
			before := b.get("/named").String()
			for range 3 {
				serial, swapped := rename(), swap()
				b.eventually("the new certificate", func() bool { return b.get("/plain").String() == "200 "+serial })
				b.eventually("the new certificate, through a link", func() bool { return b.get("/link").String() == "200 "+swapped })
				same(b, "named by the cluster", b.get("/named").String(), before)
			}
		})
	})
}
