// Package envoy makes the bootstrap of a proxy. What is in it is an interface: a change restarts every proxy, so it holds from the first
// release what later ones need. README.md beside it explains every line, and run.sh starts and drains an Envoy with it.
package envoy

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"text/template"
	"time"
)

// Version is what a bootstrap says of itself in node metadata crossfade.bootstrap. It goes up with every change of the template.
const Version = "2"

// Defaults of Bootstrap.
const (
	DefaultListenAddress  = "0.0.0.0"
	DefaultReadyAddress   = "0.0.0.0:10080"
	DefaultAdminAddress   = "127.0.0.1:9901"
	DefaultFlushInterval  = 2 * time.Second
	DefaultMaxConnections = 50_000
)

// Bootstrap is what differs from proxy to proxy. NodeID and XDSAddress are needed; the rest has defaults.
type Bootstrap struct {
	Fleet             string        // node.cluster; default policy.DefaultFleet
	NodeID            string        // node.id: unique among all proxies, and the same after a restart
	ListenAddress     string        // IP address where services are served, without port; several proxies of one host have one each
	XDSAddress        string        // the control plane, HOST:PORT; several with commas between
	ReadyAddress      string        // IP:PORT of GET /ready, for load balancers and kubelets
	AdminAddress      string        // IP:PORT of Envoy's admin interface; loopback only, as it is not protected
	Zone              string        // availability zone of this proxy, as endpoints name theirs; empty: not known, and zones make no difference
	ExperimentAddress string        // IP:PORT where the comparator reaches this proxy, loopback only; empty: none
	FlushInterval     time.Duration // how often statistics are sent
	MaxConnections    int           // client connections; more are closed at once
	MaxHeapBytes      int64         // memory above which requests are refused, for containers with a limit; 0: none
	TLS               TLS           // towards the control plane; the zero value: clear text
}

// TLS is how a proxy and the control plane know each other. The paths are absolute, and on the proxy's host; files may be replaced at any time.
type TLS struct {
	CertFile   string // of the proxy, PEM
	KeyFile    string
	CAFile     string // authorities of the control plane, PEM
	ServerName string // in the control plane's certificate: a host, an address or a SPIFFE id; empty: one of the hosts of XDSAddress
	SecretsDir string // where [CertificateFile] and [AuthorityFile] are
}

// on says whether there is TLS at all.
func (t TLS) on() bool { return t.CertFile != "" || t.KeyFile != "" || t.CAFile != "" }

//go:embed bootstrap.yaml.tmpl
var text string

var bootstrapTemplate = template.Must(template.New("bootstrap").Funcs(template.FuncMap{"q": quoted}).Parse(text))

// quoted writes a string as YAML and JSON both read it.
func quoted(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

// hostPort is an address in parts.
type hostPort struct {
	Host string
	Port int
}

// view is what the template reads.
type view struct {
	Bootstrap
	Version, FlushInterval, XDSType, ReadyKey, Buckets string
	Admin, Ready                                       hostPort
	XDS                                                []hostPort
	Layers, Stats                                      []string
	Secure                                             bool
	SNI                                                string
	Names                                              []serverName
}

// Render writes the bootstrap as YAML. Bad input gives policy.Errors and writes nothing.
func Render(w io.Writer, b Bootstrap) error {
	v, errs := b.view()
	if err := errs.Err(); err != nil {
		return err
	}
	if err := bootstrapTemplate.Execute(w, v); err != nil {
		return fmt.Errorf("write the bootstrap: %w", err)
	}
	return nil
}
