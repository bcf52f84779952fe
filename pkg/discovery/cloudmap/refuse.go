package cloudmap

import (
	"fmt"
	"strconv"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// correct is what to do with an instance that cannot be read.
const correct = "register the instance again with what is right, or deregister it"

// refuse says that an instance cannot be used, which makes the whole look void.
func refuse(i instance, t Target, value, code, message, next string) error {
	return &policy.Error{
		Kind: policy.Invalid, Code: code, Value: cut(value, maxMetadataBytes),
		Message: fmt.Sprintf("instance %q of %s %s", cut(i.id, maxMetadataBytes), t, message), Next: next,
	}
}

// withoutAddress says why an instance without an IP address cannot be used.
func withoutAddress(i instance, t Target) error {
	const next = "use a dns origin with this name"
	if name := i.attributes[attributeAlias]; name != "" {
		return refuse(i, t, name, "cloudmap_dns_name", fmt.Sprintf("is a load balancer by name (%s), which has no addresses in Cloud Map", attributeAlias), next)
	}
	if name := i.attributes[attributeCNAME]; name != "" {
		return refuse(i, t, name, "cloudmap_dns_name", fmt.Sprintf("is a name (%s), which has no addresses in Cloud Map", attributeCNAME), next)
	}
	return refuse(i, t, "", "cloudmap_address_missing", fmt.Sprintf("has no address: neither %s nor %s", attributeIPv4, attributeIPv6), correct)
}

// portOf is the port of an instance: that of the target if it has one.
func portOf(i instance, t Target) (uint16, error) {
	if t.Port != 0 {
		return uint16(t.Port), nil
	}
	text := i.attributes[attributePort]
	if text == "" {
		return 0, refuse(i, t, "", "cloudmap_port_missing", fmt.Sprintf("does not say its port (%s)", attributePort), "set the port in the origin")
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, refuse(i, t, text, "cloudmap_port_invalid", fmt.Sprintf("has no port between 1 and 65535 in %s", attributePort), "set the port in the origin, or "+correct)
	}
	return uint16(port), nil
}
