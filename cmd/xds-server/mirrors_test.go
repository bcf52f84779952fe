package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTheSectionOfMirrors(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "Bearer abc=\r\n")
	file := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, file, `
dev: true
data-dir: d
mirrors:
  retention: 24h
  values: [$.state, "header:cache-control"]
  identities:
  - {name: tester, header: Authorization, valueFile: `+token+`}
  - {name: other, header: x-api-key, valueFile: `+token+`}
  maxRps: 20
  lease: 30s
`)
	c, err := parse([]string{"--config", file}, in(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := mirrorSettings{
		retention: 24 * time.Hour, values: []string{"$.state", "header:cache-control"}, maxRPS: 20, lease: 30 * time.Second,
		identities: []testIdentity{{"tester", "authorization", newSecret("Bearer abc=")}, {"other", "x-api-key", newSecret("Bearer abc=")}},
	}
	if !reflect.DeepEqual(c.mirrors, want) || c.mirrors.identities[0].value.reveal() != "Bearer abc=" {
		t.Errorf("got %+v, want %+v", c.mirrors, want)
	}
}

func TestMistakesInTheSectionOfMirrorsHaveTheirLine(t *testing.T) {
	const planted = "s3cr3t"
	dir := t.TempDir()
	file := func(name, text string) string {
		write(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	good := file("good", planted+"\n")
	one := func(header, valueFile string) string {
		return fmt.Sprintf("mirrors:\n  identities:\n  - {name: a, header: %s, valueFile: %s}\n", header, valueFile)
	}
	for _, c := range []struct {
		name, text string
		wants      []string
	}{
		{"no group", "mirrors: on\n", []string{":1:10: mirrors: ", "identities, lease, maxRps, retention, values"}},
		{"unknown key", "mirrors: {retenton: 1h}\n", []string{`mirrors: "retenton": is not a setting of mirrors`, "did you mean retention?"}},
		{"key twice", "mirrors: {lease: 10s, lease: 20s}\n", []string{`"lease": is there twice`}},
		{"section twice", "mirrors: {}\nmirrors: {}\n", []string{":2:1: ", "is in line 1 already"}},
		{"retention short", "mirrors: {retention: 59m}\n", []string{"mirrors.retention", "1h0m0s to 8760h0m0s"}},
		{"retention long", "mirrors: {retention: 8761h}\n", []string{"mirrors.retention", "1h0m0s to 8760h0m0s"}},
		{"lease short", "mirrors: {lease: 4s}\n", []string{"mirrors.lease", "5s to 10m0s"}},
		{"lease long", "mirrors: {lease: 11m}\n", []string{"mirrors.lease", "5s to 10m0s"}},
		{"lease without unit", "mirrors: {lease: 60}\n", []string{"mirrors.lease", "write for example 10s"}},
		{"no rate", "mirrors: {maxRps: 0}\n", []string{"mirrors.maxRps", "1 to 100000"}},
		{"rate", "mirrors: {maxRps: 100001}\n", []string{"mirrors.maxRps", "1 to 100000"}},
		{"half a rate", "mirrors: {maxRps: 1.5}\n", []string{"mirrors.maxRps", "a whole number"}},
		{"one value", "mirrors: {values: $.a}\n", []string{"mirrors.values", "must be a list of places"}},
		{"no place", "mirrors: {values: [$.a, state]}\n", []string{":1:25: mirrors.values[1]: \"state\": is no place", "$.state"}},
		{"no text", "mirrors: {values: [[$.a]]}\n", []string{"mirrors.values[0]: is no place"}},
		{"place twice", "mirrors: {values: [$.a, $.a]}\n", []string{"mirrors.values[1]", "is there twice"}},
		{"long place", "mirrors: {values: [$." + strings.Repeat("a", 1024) + "]}\n", []string{"mirrors.values[0]", "has 1026 bytes; at most 1024"}},
		{"many places", "mirrors: {values: [" + strings.Repeat("$.a, ", 257) + "]}\n", []string{"mirrors.values", "has 257 places; at most 256"}},
		{"identity alone", "mirrors: {identities: {name: a}}\n", []string{"mirrors.identities", "must be a list of test identities"}},
		{"many identities", "mirrors: {identities: [" + strings.Repeat("{}, ", 65) + "]}\n", []string{"has 65 test identities; at most 64"}},
		{"identity is a text", "mirrors: {identities: [a]}\n", []string{"mirrors.identities[0]", "must be KEY: VALUE", "header, name, valueFile"}},
		{"no name", "mirrors: {identities: [{header: a, valueFile: " + good + "}]}\n", []string{"mirrors.identities[0].name", "needs a name"}},
		{"bad name", "mirrors: {identities: [{name: A_b, header: a, valueFile: " + good + "}]}\n", []string{`mirrors.identities[0].name: "A_b"`, "needs a name"}},
		{"name twice", one("a", good) + "  - {name: a, header: b, valueFile: " + good + "}\n", []string{":4:5: mirrors.identities[1].name", "two test identities"}},
		{"no header", "mirrors: {identities: [{name: a, valueFile: " + good + "}]}\n", []string{"mirrors.identities[0].header", "for example authorization"}},
		{"bad header", one(`"a b"`, good), []string{`mirrors.identities[0].header: "a b"`}},
		{"header of the connection", one("Content-Length", good), []string{`"Content-Length": is a header that says how a request travels`}},
		{"mark of copies", one("X-Shadow", good), []string{"how a request travels"}},
		{"header of ours", one("x-cf-target", good), []string{"how a request travels"}},
		{"no file", "mirrors: {identities: [{name: a, header: a}]}\n", []string{"mirrors.identities[0].valueFile: is missing"}},
		{"missing file", one("a", "/nowhere/token"), []string{`valueFile: "/nowhere/token": cannot be read: no such file`}},
		{"folder", one("a", dir), []string{"valueFile", "cannot be read: is a directory"}},
		{"empty file", one("a", file("empty", "\n")), []string{"valueFile", "is empty"}},
		{"large file", one("a", file("large", strings.Repeat(planted, 2000))), []string{"valueFile", "more than 8 KiB"}},
		{"two lines", one("a", file("lines", planted+"\n"+planted+"\n")), []string{"valueFile", "line breaks"}},
		{"the value in place of the file", "mirrors: {identities: [{name: a, header: a, value: x}]}\n", []string{`"value": is not a setting`, "did you mean valueFile?"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings := filepath.Join(t.TempDir(), "settings.yaml")
			write(t, settings, c.text)
			_, err := parse([]string{"--dev", "--data-dir", "d", "--config", settings}, in(nil))
			if err == nil {
				t.Fatal("no error")
			}
			if missing := lacks(err.Error(), append(c.wants, "settings.yaml")); len(missing) > 0 {
				t.Errorf("%v\nlacks %q", err, missing)
			}
			if strings.Contains(err.Error(), planted) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	const planted = "s3cr3t"
	c := &config{mirrors: mirrorSettings{identities: []testIdentity{{"tester", "authorization", newSecret(planted)}}}}
	s := c.mirrors.identities[0].value
	public := struct{ Value secret }{s}
	var text, js strings.Builder
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, nil)), slog.New(slog.NewJSONHandler(&js, nil))} {
		log.Info("x", "secret", s, "public", public, "settings", c.mirrors, "identity", c.mirrors.identities[0])
	}
	data, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{text.String(), js.String(), string(data), errors.Join(fmt.Errorf("%v %s", s, s)).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, what := range []any{s, &s, public, c, *c, c.mirrors, c.mirrors.identities} {
			printed = append(printed, fmt.Sprintf(verb, what))
		}
	}
	for _, p := range printed {
		if strings.Contains(p, planted) || strings.Contains(p, fmt.Sprintf("%x", planted)) {
			t.Errorf("printed: %s", p)
		}
	}
	if s.reveal() != planted || (secret{}).reveal() != "" {
		t.Error("it is not what it was")
	}
}
