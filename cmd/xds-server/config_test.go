package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/mtls"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// in returns a lookup of variables.
func in(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestAFlagBeatsTheEnvironmentWhichBeatsTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, file, "dev: true\ndata-dir: /file\napi-listen: 127.0.0.1:3\nlog-format: json\nadvertise: file.test\n")
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		want config
	}{
		{
			"defaults",
			[]string{"--dev", "--data-dir", "/flag"},
			nil,
			config{dataDir: "/flag", api: "127.0.0.1:18080", logFormat: "text"},
		},
		{
			"flag",
			[]string{"--dev", "--data-dir=/flag", "--api-listen", "127.0.0.1:1", "--config", file},
			map[string]string{"CROSSFADE_DATA_DIR": "/env", "CROSSFADE_API_LISTEN": "127.0.0.1:2"},
			config{dataDir: "/flag", api: "127.0.0.1:1", logFormat: "json", advertise: "file.test", file: file},
		},
		{
			"environment",
			[]string{"--config", file},
			map[string]string{"CROSSFADE_DATA_DIR": "/env", "CROSSFADE_API_LISTEN": "127.0.0.1:2", "CROSSFADE_LOG_FORMAT": "text"},
			config{dataDir: "/env", api: "127.0.0.1:2", logFormat: "text", advertise: "file.test", file: file},
		},
		{
			"file", nil,
			map[string]string{"CROSSFADE_CONFIG": file},
			config{dataDir: "/file", api: "127.0.0.1:3", logFormat: "json", advertise: "file.test", file: file},
		},
		{
			"an empty variable is none",
			[]string{"--config", file},
			map[string]string{"CROSSFADE_DATA_DIR": ""},
			config{dataDir: "/file", api: "127.0.0.1:3", logFormat: "json", advertise: "file.test", file: file},
		},
		{
			"dev by environment",
			[]string{"--data-dir", "/flag"},
			map[string]string{"CROSSFADE_DEV": "true"},
			config{dataDir: "/flag", api: "127.0.0.1:18080", logFormat: "text"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(c.args, in(c.env))
			if err != nil {
				t.Fatal(err)
			}
			c.want.dev, c.want.xds, c.want.comparator, c.want.http = true, "127.0.0.1:18000", "127.0.0.1:18002", "127.0.0.1:18081"
			c.want.sources.rules, c.want.mirrors, c.want.role, c.want.comparatorChild = discovery.DefaultRules(), defaultMirrors(), roleServer, true
			c.want.operation, c.want.values, c.want.fileKeys, c.want.fileSeen = got.operation, got.values, got.fileKeys, got.fileSeen // have tests of their own
			if !reflect.DeepEqual(*got, c.want) {
				t.Errorf("%+v, want %+v", *got, c.want)
			}
		})
	}
}

func TestEverySettingHasAVariableAndAKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	values := map[string]string{
		"data-dir": "d", "dev": "true", "xds-listen": "127.0.0.1:1", "comparator-listen": "127.0.0.1:2", "api-listen": "127.0.0.1:3", "http-listen": "127.0.0.1:4",
		"advertise": "a.test", "ready-file": "r", "log-format": "json", "map-addresses": "10.0.0.0/8=127.0.0.0/8", "comparator-child": "false",
	}
	want := config{
		xds: "127.0.0.1:1", comparator: "127.0.0.1:2", api: "127.0.0.1:3", http: "127.0.0.1:4", dataDir: "d", dev: true, logFormat: "json", advertise: "a.test", readyFile: "r",
		mapAddresses: "10.0.0.0/8=127.0.0.0/8", sources: sources{rules: discovery.DefaultRules()}, mirrors: defaultMirrors(), role: roleServer,
	}
	env, lines := map[string]string{}, ""
	for name, value := range values {
		env["CROSSFADE_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = value
		lines += name + ": " + value + "\n"
	}
	write(t, file, lines)
	got, err := parse(nil, in(env))
	if err != nil {
		t.Fatal(err)
	}
	want.operation, want.values = got.operation, got.values // have tests of their own
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("by environment: %+v", got)
	}
	if got, err = parse([]string{"--config", file}, in(nil)); err != nil {
		t.Fatal(err)
	}
	want.values, want.fileKeys, want.fileSeen = got.values, got.fileKeys, got.fileSeen
	if want.file = file; err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("by file: %+v, %v", got, err)
	}
}

// TestFilesOfTLSAreSettings: by environment, by file and by flag.
func TestFilesOfTLSAreSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, file, "data-dir: d\ntls-cert: a\ntls-key: b\ntls-client-ca: file\n")
	got, err := parse([]string{"--config", file, "--tls-crl", "d", "--api-listen", "0.0.0.0:1", "--http-listen", "[::]:2"}, in(map[string]string{"CROSSFADE_TLS_CLIENT_CA": "c"}))
	if err != nil {
		t.Fatal(err)
	}
	if want := (mtls.Files{Cert: "a", Key: "b", CA: "c", CRL: "d"}); got.tls != want || got.dev {
		t.Errorf("%+v, want %+v", got.tls, want)
	}
}

func TestMistakesInTheFileHaveTheirLine(t *testing.T) {
	for _, c := range []struct {
		name, text string
		wants      []string
	}{
		{"unknown key", "dev: true\n\napi-lisen: 127.0.0.1:1\n", []string{":3:1: ", `"api-lisen": is not a setting`, "did you mean api-listen?"}},
		{"unlike anything", "zebra: 1\n", []string{":1:1: ", "settings are data-dir, dev"}},
		{"two mistakes", "zebra: 1\ndev: maybe\n", []string{":1:1: ", ":2:6: dev: \"maybe\": must be true or false"}},
		{"duplicate", "dev: true\ndev: false\n", []string{":2:1: ", "is in line 1 already"}},
		{"a list", "data-dir: [a, b]\n", []string{":1:11: data-dir: needs one value"}},
		{"null", "data-dir:\n", []string{":1:", "data-dir: needs one value"}},
		{"config in the file", "config: other.yaml\n", []string{`"config": is not a setting`}},
		{"role in the file", "role: comparator\n", []string{`"role": is not a setting`}},
		{"a control plane in the file", "server: 127.0.0.1:1\n", []string{`"server": is not a setting`}},
		{"file descriptor in the file", "comparator-fd: 3\n", []string{`"comparator-fd": is not a setting`}},
		{"version in the file", "version: true\n", []string{`"version": is not a setting`}},
		{"not a mapping", "- a\n", []string{":1:1: ", "must be a list of KEY: VALUE"}},
		{"two documents", "dev: true\n---\ndev: false\n", []string{"a settings file has one document"}},
		{"not YAML", "a: [\n", []string{"is not YAML"}},
		{"a tab", "dev: true\n\tx: 1\n", []string{"is not YAML"}},
		{"too large", "# " + strings.Repeat("x", 100_000), []string{"more than 64 KiB"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "settings.yaml")
			write(t, file, c.text)
			_, err := parse([]string{"--config", file}, in(nil))
			if err == nil {
				t.Fatal("no error")
			}
			if missing := lacks(err.Error(), append(c.wants, "settings.yaml")); len(missing) > 0 {
				t.Errorf("%v\nlacks %q", err, missing)
			}
		})
	}
	for _, text := range []string{"", "# only a comment\n", "---\n", "null\n"} {
		file := filepath.Join(t.TempDir(), "settings.yaml")
		write(t, file, text)
		if _, err := parse([]string{"--dev", "--data-dir", "d", "--config", file}, in(nil)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestHelpAndVersionComeBeforeMistakes(t *testing.T) {
	for flag, want := range map[string]error{"--help": errHelp, "-h": errHelp, "--version": errVersion} {
		if _, err := parse([]string{"--api-listen", "x", flag}, in(map[string]string{"CROSSFADE_DEV": "maybe"})); !errors.Is(err, want) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add("dev: true\ndata-dir: d\n")
	f.Add("a: &x [*x]\n? {b: c}\n: d\n<<: *x\n")
	f.Add("mirrors: {values: [$.a], identities: [{name: a, header: b, valueFile: /nowhere}], maxRps: 1}\n")
	f.Add("!!binary x: y\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "settings.yaml")
		write(t, file, text)
		c, err := parse([]string{"--config", file}, in(nil))
		if err == nil && (!c.dev || c.dataDir == "") {
			t.Errorf("%q is taken as %+v", text, c)
		}
	})
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
