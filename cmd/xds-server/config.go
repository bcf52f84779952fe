package main

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/spf13/pflag"

	"github.com/crossfade-proxy/crossfade/internal/mtls"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// config is what the server is told: by flags, else by the environment, else by a file.
type config struct {
	role                       string
	xds, comparator, api, http string // where to listen, HOST:PORT
	dataDir                    string
	file                       string
	fileKeys                   map[string]int // what is in it, with the lines
	fileSeen                   fs.FileInfo    // as it was just before it was read; nil: it was not
	dev                        bool
	logFormat                  string
	advertise                  string
	readyFile                  string
	mapAddresses               string // see mapping
	server                     string // a comparator's control plane, HOST:PORT
	comparatorChild            bool   // a server runs a comparator
	comparatorFD               int    // file descriptor of a comparator's listener; 0: it makes one
	tokenFile                  string // holds a comparator's token
	token                      secret // by which a server knows its comparators, and that of a child; see token.go
	sources                    sources
	mirrors                    mirrorSettings
	rollouts                   rolloutSettings
	roles                      roles
	operation                  operation
	values                     map[string]string // of all flags, as they hold
	proxies                    []proxyRule       // which certificates may be proxies of which fleets
	tls                        mtls.Files
	tlsServerName              string // by which a comparator knows its control plane, where that is not the host it asks
}

var (
	errHelp    = errors.New("help was asked for")
	errVersion = errors.New("the version was asked for")
)

// flags returns the flags, which write into c. Environment and file know the same names.
func flags(c *config) *pflag.FlagSet {
	f := pflag.NewFlagSet("xds-server", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.StringVar(&c.role, "role", roleServer, "what to be, `server|comparator`: the control plane, or what compares for one")
	f.StringVar(&c.dataDir, "data-dir", "", "keep the store in this `DIR`; it is made if it does not exist")
	f.BoolVar(&c.dev, "dev", false, "serve without TLS, on loopback addresses only, to try things: whoever reaches the server may do everything")
	f.StringVar(&c.tls.Cert, "tls-cert", "", "show this certificate, a `FILE` of PEM, with those between it and its authority; read anew when it changes")
	f.StringVar(&c.tls.Key, "tls-key", "", "its key, a `FILE` of PEM")
	f.StringVar(&c.tls.CA, "tls-client-ca", "", "let in who has a certificate of these authorities, a `FILE` of PEM")
	f.StringVar(&c.tls.CRL, "tls-crl", "", "but none that is on these lists of revoked ones, a `FILE` of PEM")
	f.StringVar(&c.xds, "xds-listen", "127.0.0.1:18000", "`HOST:PORT` for proxies")
	f.StringVar(&c.comparator, "comparator-listen", "127.0.0.1:18002", "`HOST:PORT` for mirrored requests of proxies")
	f.StringVar(&c.api, "api-listen", "127.0.0.1:18080", "`HOST:PORT` for the gRPC API: shadowctl, CI jobs")
	f.StringVar(&c.http, "http-listen", "127.0.0.1:18081", "`HOST:PORT` for /metrics, /healthz and /readyz")
	f.BoolVar(&c.comparatorChild, "comparator-child", true, "run a comparator as a child process; false: comparators run elsewhere")
	f.StringVar(&c.server, "server", "", "`HOST:PORT` of the control plane's gRPC API; for --role comparator")
	f.StringVar(&c.tokenFile, "token-file", "", "read the control plane's token from this `FILE`, "+tokenFile+" in its data directory; for --role comparator")
	f.StringVar(&c.tlsServerName, "tls-server-name", "", "`NAME` in the control plane's certificate, where it is not the host of --server; for --role comparator")
	f.IntVar(&c.comparatorFD, comparatorFD, 0, "listen on this file descriptor")
	_ = f.MarkHidden(comparatorFD) // it is there, so there is no error
	f.StringVar(&c.advertise, "advertise", "", "`HOST` by which others reach this server, where it is not the one it listens on")
	f.StringVar(&c.readyFile, "ready-file", "", "write the addresses to this `FILE` once serving, as JSON; removed at the end")
	f.StringVar(&c.logFormat, "log-format", "text", "write the log as `text|json`")
	operationFlags(c, f)
	f.StringVar(&c.mapAddresses, "map-addresses", "", "with --dev: reach discovered endpoints of one prefix in another, as `FROM=TO`; for tests")
	f.StringVar(&c.file, "config", "", "read settings from this YAML `FILE`")
	f.Bool("version", false, "print the version")
	f.BoolP("help", "h", false, "print this")
	return f
}

func usage() string {
	return `xds-server is the control plane: it serves proxies and the API that changes where their traffic goes.

Usage:
  xds-server --data-dir DIR --tls-cert FILE --tls-key FILE --tls-client-ca FILE [flags]
  xds-server --dev --data-dir DIR [flags]
  xds-server --role comparator --server HOST:PORT --token-file FILE … [flags]
  xds-server check|compact --data-dir DIR      (while no server runs; docs/operations.md)
  xds-server restore --from FILE --data-dir DIR

Examples:
  xds-server --dev --data-dir ./crossfade-data
  xds-server --dev --data-dir ./crossfade-data --api-listen 127.0.0.1:0 --ready-file ready.json
  xds-server --data-dir /var/lib/crossfade --config crossfade.yaml --tls-cert tls.crt --tls-key tls.key --tls-client-ca ca.crt --xds-listen 0.0.0.0:18000
  CROSSFADE_LOG_FORMAT=json xds-server --config crossfade.yaml
  xds-server --dev --role comparator --server 127.0.0.1:18080 --comparator-listen 127.0.0.1:18003 --token-file ./crossfade-data/comparator.token

Flags:
` + flags(&config{}).FlagUsages() + `
Port 0 is any free port. Each flag is also an environment variable (--api-listen: CROSSFADE_API_LISTEN) and, but for --role,
--server, --token-file and --tls-server-name, a key of the file (api-listen: 127.0.0.1:18080). A flag beats the environment, which beats the file. Only the file has the sections
kubernetes, aws and discovery, which say where endpoints are found: docs/discovery.md; mirrors: docs/mirrors.md;
proxies: docs/tls.md; roles: docs/access.md; hooks and prometheus: docs/rollouts.md. Proxies and roles are read anew when the file changes, and at once on
SIGHUP, as certificates are.
A comparator reads no file and uses --dev or --tls-…, --comparator-listen, --server, --token-file, --advertise (an IP address), --ready-file and --log-format.
OTEL_EXPORTER_OTLP_ENDPOINT in the environment says where traces go; nowhere without it: docs/operations.md.
SIGTERM ends the server in order: proxies keep serving with what they have. A second one ends it at once.
`
}

// parse reads the flags, the environment and the file, and checks what they say.
func parse(args []string, env func(string) string) (*config, error) {
	c := &config{sources: sources{rules: discovery.DefaultRules()}, mirrors: defaultMirrors()}
	f := flags(c)
	if err := f.Parse(args); err != nil {
		return nil, usageError(err.Error())
	}
	switch {
	case f.Changed("help"):
		return nil, errHelp
	case f.Changed("version"):
		return nil, errVersion
	case f.NArg() > 0:
		return nil, usageError("unexpected argument: " + f.Arg(0))
	}
	if token := env(tokenVariable); token != "" {
		c.token = newSecret(token)
	}
	here := given(f)
	if err := fromEnvironment(f, env); err != nil {
		return nil, err
	}
	if c.file != "" && c.role != roleComparator {
		if err := fromFile(f, c.file, c); err != nil {
			return nil, err
		}
	}
	c.values = valuesOf(f)
	return c, append(c.misplaced(here), c.check()...).Err()
}

func usageError(message string) error {
	return policy.Errors{{Kind: policy.Invalid, Code: "usage", Message: message, Next: "`xds-server --help` lists the flags"}}
}

// variable is the environment variable of a flag.
func variable(flag string) string {
	return "CROSSFADE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// isSetting tells the flags that environment and file know too.
func isSetting(flag string) bool { return flag != "help" && flag != "version" && flag != comparatorFD }

// fromEnvironment sets the flags that the command line does not. An empty variable is none.
func fromEnvironment(f *pflag.FlagSet, env func(string) string) error {
	var found policy.Errors
	f.VisitAll(func(flag *pflag.Flag) {
		value := env(variable(flag.Name))
		if flag.Changed || value == "" || !isSetting(flag.Name) {
			return
		}
		if err := f.Set(flag.Name, value); err != nil {
			found = append(found, invalid("bad_setting", variable(flag.Name), value, wanted(flag), ""))
		}
	})
	return found.Err()
}

// wanted says what the value of a flag must be.
func wanted(flag *pflag.Flag) string {
	if flag.Value.Type() == "bool" {
		return "must be true or false"
	}
	return "must be a " + flag.Value.Type()
}

func invalid(code, field, value, message, next string) *policy.Error {
	return &policy.Error{Kind: policy.Invalid, Code: code, Field: field, Value: value, Message: message, Next: next}
}
