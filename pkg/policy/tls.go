package policy

import (
	"fmt"
	"strconv"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// DefaultCAFile is where the authorities are that a proxy trusts, on Debian, Ubuntu, Alpine and Envoy's own images.
const DefaultCAFile = "/etc/ssl/certs/ca-certificates.crt"

// DefaultTLSVersion is the lowest version of TLS that listeners speak which name none.
const DefaultTLSVersion = "1.2"

func (p *problems) tls(field string, d *crossfadev1.Tls, o *Origin) *TLS {
	if d == nil {
		return nil
	}
	t := &TLS{CAFile: d.GetCaFile(), SkipVerify: d.GetInsecureSkipVerify()}
	switch name := d.GetServerName(); {
	case name != "":
		t.ServerName = p.dnsHost(field+".serverName", name)
	case o.DNS != nil:
		t.ServerName = o.DNS.Host
	default:
		p.add(field+".serverName", "text_missing", "", "the name that the certificate has to have is needed", "")
	}
	switch file := d.GetCaFile(); {
	case file == "":
		t.CAFile = DefaultCAFile
	case t.SkipVerify:
		p.add(field+".caFile", "exclusive", file, "insecureSkipVerify is written too: then nothing is checked against these authorities", "remove one of them")
	default:
		p.file(field+".caFile", file, DefaultCAFile)
	}
	if d.GetCertificateFile() != "" || d.GetKeyFile() != "" {
		pair := p.keyPair(field, d.GetCertificateFile(), d.GetKeyFile())
		t.Show = &pair
	}
	return t
}

// listeners returns how ports are served by TLS, by port; nil where none is.
func (p *problems) listeners(list []*crossfadev1.FleetListener) map[int]*ListenerTLS {
	if len(list) == 0 || p.count("listeners", len(list), MaxListeners, "listeners") {
		return nil
	}
	out, first := make(map[int]*ListenerTLS, len(list)), map[int32]int{}
	for i, l := range list {
		field := at("listeners", i)
		port := p.portNumber(field+".port", l.GetPort(), true)
		if j, seen := first[l.GetPort()]; seen && port != 0 {
			p.add(field+".port", "port_duplicate", strconv.Itoa(port), fmt.Sprintf("is the port of listeners[%d] as well", j), "write each port once, with all of its certificates")
		} else {
			first[l.GetPort()] = i
		}
		if l.GetTls() == nil {
			p.add(field+".tls", "tls_missing", "", "it is not said by which certificate the port is served", `write for example tls: {certificates: [{certificateFile: "/etc/tls/tls.crt", keyFile: "/etc/tls/tls.key"}]}, or leave the port out: it is served in clear text then`)
			continue
		}
		out[port] = p.listenerTLS(field+".tls", l.GetTls())
	}
	return out
}

func (p *problems) listenerTLS(field string, d *crossfadev1.ListenerTls) *ListenerTLS {
	t := &ListenerTLS{ClientCAFile: d.GetClientCaFile(), MinVersion: d.GetMinVersion()}
	list := field + ".certificates"
	if len(d.GetCertificates()) == 0 {
		p.add(list, "certificates_missing", "", "at least one certificate is needed", `write for example [{certificateFile: "/etc/tls/tls.crt", keyFile: "/etc/tls/tls.key"}]`)
	}
	if !p.count(list, len(d.GetCertificates()), MaxCertificates, "certificates") {
		first := map[string]int{}
		for i, c := range d.GetCertificates() {
			pair := p.keyPair(at(list, i), c.GetCertificateFile(), c.GetKeyFile())
			if j, seen := first[pair.CertificateFile]; seen && pair.CertificateFile != "" {
				p.add(at(list, i)+".certificateFile", "certificate_duplicate", pair.CertificateFile, fmt.Sprintf("is in certificates[%d] as well", j), "remove one of them")
			} else {
				first[pair.CertificateFile] = i
			}
			t.Certificates = append(t.Certificates, pair)
		}
	}
	if t.ClientCAFile != "" {
		p.file(field+".clientCaFile", t.ClientCAFile, "/etc/tls/clients.pem")
	}
	switch t.MinVersion {
	case "":
		t.MinVersion = DefaultTLSVersion
	case "1.2", "1.3":
	default:
		p.add(field+".minVersion", "version_unknown", t.MinVersion, `must be "1.2" or "1.3"`, "leave it out for the default of "+DefaultTLSVersion)
	}
	return t
}

// keyPair holds the files of a certificate and its key against the rules. Envoy takes both from one file as well.
func (p *problems) keyPair(field, certificate, key string) KeyPair {
	const example = "/etc/tls/tls."
	switch {
	case certificate == "" && key == "":
		p.add(field, "file_missing", "", "the files of a certificate and of its key are needed", fmt.Sprintf("write {certificateFile: %q, keyFile: %q}", example+"crt", example+"key"))
		return KeyPair{}
	case certificate == "":
		p.add(field+".certificateFile", "file_missing", "", "a key is there without its certificate", "write certificateFile too, or remove keyFile")
	default:
		p.file(field+".certificateFile", certificate, example+"crt")
	}
	switch {
	case key == "":
		p.add(field+".keyFile", "file_missing", "", "a certificate is there without its key", "write keyFile too; where both are in one file, the same path")
	default:
		p.file(field+".keyFile", key, example+"key")
	}
	return KeyPair{CertificateFile: certificate, KeyFile: key}
}

// file refuses what is no path of a file on a proxy's machine.
func (p *problems) file(field, file, example string) {
	if file[0] != '/' || len(file) > MaxForeignBytes || strings.ContainsFunc(file, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		p.add(field, "file_invalid", file, "must be the whole path of a file on the proxy's machine", "write for example "+strconv.Quote(example))
	}
}
