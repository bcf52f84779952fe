package main

import (
	"crypto/sha256"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

func TestBadInputEndsTheProcessWithASentence(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "x")
	good := func(more ...string) []string {
		return append([]string{"--dev", "--data-dir", data}, more...)
	}
	for _, c := range []struct {
		name  string
		env   []string
		args  []string
		exit  int
		wants []string
	}{
		{"nothing", nil, nil, 2, []string{"--data-dir: is missing", "--dev: is missing", "without TLS", "--tls-cert", "or --dev"}},
		{"no --dev", nil, []string{"--data-dir", data}, 2, []string{"--dev: is missing"}},
		{"unknown flag", nil, good("--api-lisen", "x"), 2, []string{"unknown flag: --api-lisen", "xds-server --help"}},
		{"TLS beside --dev", nil, good("--tls-cert", "x"), 2, []string{"--dev", "to serve without TLS, and --tls-cert is to serve with it", "--tls-key: is missing", "--tls-client-ca: is missing"}},
		{"a list without TLS", nil, good("--tls-crl", "x"), 2, []string{`--tls-crl: "x": is of no use without TLS`}},
		{"a list, and nothing else", nil, []string{"--data-dir", data, "--tls-crl", "x"}, 2, []string{"--tls-crl", "add --tls-cert"}},
		{"half a pair", nil, []string{"--data-dir", data, "--tls-key", "x", "--tls-client-ca", "y"}, 2, []string{"--tls-cert: is missing: --tls-client-ca needs it"}},
		{"no such certificate", nil, []string{"--data-dir", data, "--tls-cert", "no.pem", "--tls-key", "no.key", "--tls-client-ca", "no.ca"}, 1, []string{`--tls-cert: "no.pem": cannot be read: no such file`, "docs/tls.md"}},
		{"a server name of a server", nil, good("--tls-server-name", "x"), 2, []string{"--tls-server-name", "is for comparators"}},
		{"argument", nil, good("serve"), 2, []string{"unexpected argument: serve"}},
		{"bool by flag", nil, good("--dev=maybe"), 2, []string{"--dev", "maybe"}},
		{"bool by environment", []string{"CROSSFADE_DEV=maybe"}, []string{"--data-dir", data}, 2, []string{`CROSSFADE_DEV: "maybe": must be true or false`}},
		{"not an address", nil, good("--api-listen", "127.0.0.1"), 2, []string{`--api-listen: "127.0.0.1": must be HOST:PORT`, "for example 127.0.0.1:18080"}},
		{"port too high", nil, good("--xds-listen", "127.0.0.1:65536"), 2, []string{"--xds-listen", `"65536" is not a port`}},
		{"named port", nil, good("--xds-listen", "127.0.0.1:http"), 2, []string{`"http" is not a port`}},
		{"port with a zero", nil, good("--xds-listen", "127.0.0.1:080"), 2, []string{`"080" is not a port`}},
		{"host name", nil, good("--http-listen", "example.test:1"), 2, []string{`"example.test" is neither an IP address nor localhost`}},
		{"every address", nil, good("--api-listen", ":18080"), 2, []string{"--api-listen", "others could reach", "without TLS", "--tls-cert"}},
		{"0.0.0.0", nil, good("--xds-listen", "0.0.0.0:18000"), 2, []string{"--xds-listen", "only loopback"}},
		{"[::]", nil, good("--comparator-listen", "[::]:18000"), 2, []string{"--comparator-listen", "only loopback"}},
		{"a private address", nil, good("--http-listen", "10.0.0.1:1"), 2, []string{"--http-listen", "only loopback"}},
		{"the same address twice", nil, good("--http-listen", "127.0.0.1:18080"), 2, []string{"is the address of --api-listen too"}},
		{"log format", nil, good("--log-format", "xml"), 2, []string{`--log-format: "xml": must be text or json`}},
		{"advertise with port", nil, good("--advertise", "a.test:1"), 2, []string{"--advertise", "without a port"}},
		{"several at once", nil, good("--log-format", "xml", "--advertise", "a b"), 2, []string{"--log-format", "--advertise"}},
		{"no such settings file", nil, good("--config", "nothing.yaml"), 2, []string{`--config: "nothing.yaml": cannot be read: no such file`}},
		{"data directory is a file", nil, []string{"--dev", "--data-dir", file}, 1, []string{"--data-dir", "not a directory"}},
		{"data directory below a file", nil, []string{"--dev", "--data-dir", filepath.Join(file, "x")}, 1, []string{"--data-dir", "not a directory"}},
		{"address with a zone", nil, good("--api-listen", "[::1%lo]:0"), 2, []string{"--api-listen", "is neither an IP address nor localhost"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := slices.Clone(c.args)
			if c.exit == 1 { // those that come to listen
				args = append(args, free()...)
			}
			p := command(t, c.env, args...)
			if exit := p.runs(); exit != c.exit {
				t.Errorf("exit %d, want %d", exit, c.exit)
			}
			if missing := lacks(p.stderr.String(), append(c.wants, "error: ")); len(missing) > 0 {
				t.Errorf("it says\n%s\nand lacks %q", p.stderr, missing)
			}
			if p.stdout.String() != "" {
				t.Errorf("it prints %q", p.stdout)
			}
		})
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("bad input made a data directory")
	}
}

func TestHelpAndVersion(t *testing.T) {
	for flag, wants := range map[string][]string{
		"--help":    {"Examples:", "--data-dir DIR", "--ready-file FILE", "CROSSFADE_API_LISTEN", "127.0.0.1:18000"},
		"--version": {"xds-server "},
	} {
		p := command(t, nil, flag)
		if exit := p.runs(); exit != 0 || len(lacks(p.stdout.String(), wants)) > 0 || p.stderr.String() != "" {
			t.Errorf("%s: exit %d\n%s%s", flag, exit, p.stdout, p.stderr)
		}
	}
}

func TestAPortInUseNamesItsFlag(t *testing.T) {
	for _, l := range (&config{comparatorChild: true}).listens() {
		t.Run(l.name, func(t *testing.T) {
			taken, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			dir := filepath.Join(t.TempDir(), "data")
			p := command(t, nil, append(append([]string{"--dev", "--data-dir", dir}, free()...), l.flag, taken.Addr().String())...)
			exit := p.runs()
			missing := lacks(p.stderr.String(), []string{l.flag, taken.Addr().String(), "the port is in use, perhaps by another xds-server", "ss -ltnp", "choose another " + l.flag})
			if exit != 1 || len(missing) > 0 {
				t.Errorf("exit %d, it says\n%s\nand lacks %q", exit, p.stderr, missing)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("it made a data directory")
			}
		})
	}
}

func TestADataDirectoryThatAnotherServerHas(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := launch(t, dir)
	second := command(t, nil, append([]string{"--dev", "--data-dir", dir, "--ready-file", "ready.json"}, free()...)...)
	exit := second.runs()
	missing := lacks(second.stderr.String(), []string{"--data-dir", dir, "another process has the file open", "stop it, or choose another path"})
	if exit != 1 || len(missing) > 0 {
		t.Errorf("exit %d, it says\n%s\nand lacks %q", exit, second.stderr, missing)
	}
	first.signal(15)
	if exit := first.exit(); exit != 0 {
		t.Errorf("the first ends with %d", exit)
	}
}

func TestAStoreThatCannotBeRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(t *testing.T, dir string)
		wants []string
	}{
		{"foreign", func(t *testing.T, dir string) { write(t, filepath.Join(dir, storeFile), "SQLite format 3\x00") }, []string{"not a readable crossfade store", "put back a backup"}},
		{"damaged", func(t *testing.T, dir string) {
			path := filepath.Join(dir, storeFile)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[24] ^= 0xff // in the first meta page
			write(t, path, string(b))
		}, []string{"not a readable crossfade store", "keep a copy"}},
		{"newer", newerStore, []string{"store was written by a newer version", "use the version that wrote it"}},
		{"foreign journal", func(t *testing.T, dir string) { write(t, filepath.Join(dir, journalFile), "text") }, []string{journalFile, "move the file away"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			before := launch(t, dir)
			before.signal(15)
			before.exit()
			c.make(t, dir)
			p := command(t, nil, append([]string{"--dev", "--data-dir", dir}, free()...)...)
			exit := p.runs()
			if missing := lacks(p.stderr.String(), append(c.wants, "--data-dir", dir)); exit != 1 || len(missing) > 0 {
				t.Errorf("exit %d, it says\n%s\nand lacks %q", exit, p.stderr, missing)
			}
		})
	}
}

// newerStore makes a store one that a later version wrote.
func newerStore(t *testing.T, dir string) {
	db, err := bbolt.Open(filepath.Join(dir, storeFile), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		payload := binary.BigEndian.AppendUint32([]byte("crossfade-store"), 99)
		sum := sha256.Sum256(append([]byte("\x00\x00\x00\x04\x00\x00\x00\x06metaformat"), payload...))
		return tx.Bucket([]byte("meta")).Put([]byte("format"), append(sum[:8:8], payload...))
	})
	if err != nil {
		t.Fatal(err)
	}
}
