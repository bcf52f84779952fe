package main

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTheSectionsOfRollouts(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	write(t, key, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n")
	file := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, file, `
dev: true
data-dir: d
hooks: {keyFile: `+key+`, allow: [https://hooks.test/crossfade, "http://127.0.0.1:9000"]}
prometheus:
- {name: main, url: "http://prometheus.test:9090", bearerTokenFile: token, timeout: 2s}
`)
	c, err := parse([]string{"--config", file}, in(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := rolloutSettings{
		hooks:   hookSettings{allow: []string{"https://hooks.test/crossfade", "http://127.0.0.1:9000"}, key: newSecret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")},
		servers: []promServer{{name: "main", url: "http://prometheus.test:9090", bearerFile: "token", timeout: 2 * time.Second}},
	}
	if !reflect.DeepEqual(c.rollouts, want) {
		t.Errorf("got %+v, want %+v", c.rollouts, want)
	}
	if text := fmt.Sprintf("%v %+v %#v", c.rollouts, c.rollouts, c.rollouts); strings.Contains(text, "MDEyMzQ1") {
		t.Error("the key is printed")
	}
	a, err := openAsked(c, newLog("text", t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if r := a.rules(newLiveRoles(nil)); r.Hook("https://hooks.test/other") == nil || r.Hook("https://hooks.test/crossfade") != nil || r.Server("other") == nil || r.Server("main") != nil {
		t.Error("the rules are not those of the settings")
	}
}

func TestMistakesInTheSectionsOfRolloutsHaveTheirLine(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	write(t, key, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n")
	for _, c := range []struct {
		name, text string
		wants      []string
	}{
		{"hooks without a key", "hooks: {allow: [https://a.test]}\n", []string{"hooks", "keyFile"}},
		{"a key without hooks", "hooks: {keyFile: " + key + "}\n", []string{"hooks", "allow"}},
		{"no key there", "hooks: {keyFile: " + dir + "/none, allow: [https://a.test]}\n", []string{"hooks.keyFile", "cannot be read"}},
		{"no URL", "hooks: {keyFile: " + key + ", allow: [hooks.test]}\n", []string{"hooks.allow[0]", "for example https://"}},
		{"a password", "hooks: {keyFile: " + key + ", allow: [\"https://u:s3cr3t@a.test\"]}\n", []string{"hooks.allow[0]", "without user"}},
		{"a server without a name", "prometheus: [{url: \"http://p.test\"}]\n", []string{"prometheus[0].name"}},
		{"two of a name", "prometheus: [{name: a, url: \"http://p.test\"}, {name: a, url: \"http://q.test\"}]\n", []string{"prometheus[1].name", "two servers"}},
		{"no URL of a server", "prometheus: [{name: a, url: p.test}]\n", []string{"prometheus[0].url", "bearerTokenFile"}},
		{"timeout", "prometheus: [{name: a, url: \"http://p.test\", timeout: 2m}]\n", []string{"prometheus[0].timeout", "100ms to 1m0s"}},
		{"unknown", "prometheus: [{name: a, url: \"http://p.test\", token: x}]\n", []string{"is not a setting of prometheus[0]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "settings.yaml")
			write(t, file, "dev: true\ndata-dir: d\n"+c.text)
			_, err := parse([]string{"--config", file}, in(nil))
			if err == nil {
				t.Fatal("taken")
			}
			for _, want := range c.wants {
				want = strings.Replace(want, ":1:", ":3:", 1)
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %s", want, err)
				}
			}
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("a secret is in %s", err)
			}
		})
	}
}
