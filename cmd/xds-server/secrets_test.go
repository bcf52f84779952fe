package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// planted are secrets that nothing may show: of the settings, and of documents.
var planted = map[string]string{
	"hook":     "whsec_cGxhbnRlZC1ob29rLWtleS0wMTIzNDU2Nzg5", // base64, as a key must be
	"identity": "Bearer planted-test-identity",
	"bearer":   "planted-prometheus-token",
	"token":    "70616e7465642d746f6b656e70616e7465642d746f6b656e70616e7465642d74",
	"header":   "planted-header-value",
	"regex":    "planted-regex-value(",
	"comment":  "planted-comment",
}

// TestNothingShowsSecrets: neither the log at debug, nor diagnostics, whatever is done with documents that hold some.
func TestNothingShowsSecrets(t *testing.T) {
	in := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(in, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	settings := write("crossfade.yaml", `# `+planted["comment"]+`
hooks: {keyFile: "`+write("hook", planted["hook"])+`", allow: ["https://hooks.test/"]}
mirrors: {identities: [{name: tester, header: authorization, valueFile: "`+write("identity", planted["identity"])+`"}]}
prometheus: [{name: main, url: "http://127.0.0.1:1", bearerTokenFile: "`+write("bearer", planted["bearer"])+`"}]
`)
	dir := filepath.Join(in, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, tokenFile), []byte(planted["token"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, dir, "--config", settings, "--log-level", "debug")
	doc := orders()
	doc.GetService().Pins = []*crossfadev1.Pin{{Name: "beta", Origin: "eks", Match: &crossfadev1.Pin_Header{Header: &crossfadev1.ValueMatch{
		Name: "authorization", Condition: &crossfadev1.ValueMatch_Exact{Exact: planted["header"]},
	}}}}
	apply(t, p, doc)
	silentProxy(t, p)
	change := splitOf(1)
	change.Options = &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_NONE, IdempotencyKey: "k", Actor: "ann"}
	if _, err := p.client().SetSplit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	doc.GetService().Pins[0].GetHeader().Condition = &crossfadev1.ValueMatch_Regex{Regex: planted["regex"]}
	if _, err := p.client().Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{doc}}); err == nil {
		t.Fatal("a regex that is none was taken")
	}
	found := p.diagnostics()
	for _, name := range []string{"settings.yaml", "data-directory.txt", "metrics.txt", "goroutines.txt", "heap.txt", "log.txt"} {
		if len(found[name]) < 100 {
			t.Errorf("%s has %q", name, found[name])
		}
	}
	if missing := lacks(found["settings.yaml"], []string{`log-level: "debug"`, "identities", "tester", "valueFile"}); len(missing) > 0 {
		t.Errorf("the settings lack %q", missing)
	}
	if missing := lacks(found["log.txt"], []string{"level=DEBUG", "change failed"}); len(missing) > 0 {
		t.Errorf("the log lacks %q", missing)
	}
	found["stderr"], found["stdout"] = p.stderr.String(), p.stdout.String()
	for name, text := range found {
		for what, secret := range planted {
			for _, form := range []string{secret, strings.TrimSuffix(secret, "("), strings.TrimPrefix(secret, "Bearer ")} {
				if strings.Contains(text, form) {
					t.Errorf("%s shows %s", name, what)
				}
			}
		}
	}
}

// diagnostics returns the files that a server sends, by name.
func (p *process) diagnostics() map[string]string {
	p.t.Helper()
	stream, err := p.admin().GetDiagnostics(p.t.Context(), &crossfadev1.GetDiagnosticsRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	out := map[string]string{}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			p.t.Fatal(err)
		}
		out[m.GetName()] += string(m.GetData())
	}
}
