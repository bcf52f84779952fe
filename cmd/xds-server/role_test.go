package main

import (
	"path/filepath"
	"testing"
)

func TestAComparatorTakesItsFlagsOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, file, "zebra: 1\n")
	good := []string{"--role", "comparator", "--dev", "--server", "127.0.0.1:18080", "--token-file", "t"}
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
	}{
		{"flags", good, nil},
		{"all of them", append(good, "--comparator-listen", "[::1]:0", "--advertise", "127.0.0.2", "--log-format", "json", "--ready-file", "r"), nil},
		{"environment", nil, map[string]string{"CROSSFADE_ROLE": "comparator", "CROSSFADE_DEV": "true", "CROSSFADE_SERVER": "localhost:1", "CROSSFADE_TOKEN_FILE": "t"}},
		{"token in the environment", []string{"--role", "comparator", "--dev", "--server", "127.0.0.1:1"}, map[string]string{tokenVariable: "t0ken"}},
		{"variables of the control plane beside it", good, map[string]string{"CROSSFADE_DATA_DIR": "d", "CROSSFADE_API_LISTEN": "0.0.0.0:1", "CROSSFADE_CONFIG": file}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(c.args, in(c.env))
			if err != nil || got.role != roleComparator {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestFlagsOfTheOtherRoleAreRefused(t *testing.T) {
	comparator := []string{"--role", "comparator", "--dev", "--server", "127.0.0.1:18080", "--token-file", "t"}
	server := []string{"--dev", "--data-dir", "d"}
	for _, c := range []struct {
		name  string
		args  []string
		wants []string
	}{
		{"role", []string{"--role", "dashboard"}, []string{`--role: "dashboard": must be server or comparator`}},
		{"no control plane", []string{"--role", "comparator", "--dev"}, []string{"--server: is missing", "--server 127.0.0.1:18080"}},
		{"no --dev", []string{"--role", "comparator", "--server", "127.0.0.1:1"}, []string{"--dev: is missing"}},
		{"data directory", append(comparator, "--data-dir", "d"), []string{"--data-dir: is not for a comparator"}},
		{"settings file", append(comparator, "--config", "c"), []string{"--config: is not for a comparator"}},
		{"two listeners", append(comparator, "--api-listen", "127.0.0.1:1", "--xds-listen", "127.0.0.1:2"), []string{"--api-listen: is not for", "--xds-listen: is not for"}},
		{"child of a comparator", append(comparator, "--comparator-child=false"), []string{"--comparator-child: is not for a comparator"}},
		{"control plane elsewhere", append(comparator, "--server", "10.0.0.1:18080"), []string{"--server", "is not on this machine", "without TLS", "--tls-cert"}},
		{"control plane by name", append(comparator, "--server", "control.test:18080"), []string{"neither an IP address nor localhost"}},
		{"no port", append(comparator, "--server", "127.0.0.1"), []string{"--server", "must be HOST:PORT"}},
		{"any port", append(comparator, "--server", "127.0.0.1:0"), []string{"--server", "must have the port"}},
		{"every address", append(comparator, "--comparator-listen", "0.0.0.0:1"), []string{"--comparator-listen", "only loopback"}},
		{"advertised name", append(comparator, "--advertise", "a.test"), []string{`--advertise: "a.test": of a comparator must be an IP address`}},
		{"advertised elsewhere", append(comparator, "--advertise", "10.0.0.7"), []string{"--advertise", "on this machine", "without TLS"}},
		{"no token", []string{"--role", "comparator", "--dev", "--server", "127.0.0.1:1"}, []string{"--token-file: is missing", "comparator.token"}},
		{"token file of a server", append(server, "--token-file", "t"), []string{"--token-file: is for comparators"}},
		{"log format", append(comparator, "--log-format", "xml"), []string{"must be text or json"}},
		{"file descriptor", append(comparator, "--comparator-fd", "2"), []string{"--comparator-fd", "3 or more"}},
		{"--server of a server", append(server, "--server", "127.0.0.1:1"), []string{"--server: is for comparators", "--role comparator"}},
		{"file descriptor of a server", append(server, "--comparator-fd", "3"), []string{"--comparator-fd: is for comparators"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(c.args, in(nil))
			if err == nil {
				t.Fatal("no error")
			}
			if missing := lacks(err.Error(), c.wants); len(missing) > 0 {
				t.Errorf("%v\nlacks %q", err, missing)
			}
		})
	}
	if _, err := parse(server, in(map[string]string{"CROSSFADE_SERVER": "control.test:1", "CROSSFADE_TOKEN_FILE": "t"})); err != nil {
		t.Errorf("variables of shadowctl and of comparators: %v", err)
	}
}
