package cloudmap

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// The attributes that Cloud Map gives a meaning to, and that which ECS writes the zone into.
const (
	attributeIPv4       = "AWS_INSTANCE_IPV4"
	attributeIPv6       = "AWS_INSTANCE_IPV6"
	attributePort       = "AWS_INSTANCE_PORT"
	attributeCNAME      = "AWS_INSTANCE_CNAME"
	attributeAlias      = "AWS_ALIAS_DNS_NAME"
	attributeInitHealth = "AWS_INIT_HEALTH_STATUS" // how it began; HealthStatus says how it is
	attributeZone       = "AVAILABILITY_ZONE"
)

// How much of an instance is kept for people to see.
const (
	maxMetadata      = 16  // names
	maxMetadataBytes = 256 // of each name and value
	maxHealthBytes   = 32
)

// metadataInstance is the name under which the ID of an instance is kept. ECS gives its tasks their own IDs there.
const metadataInstance = "instance"

// What Cloud Map says of the health of an instance. It says nothing of those of a service without a health check.
const (
	healthUnhealthy = "UNHEALTHY"
	healthUnknown   = "UNKNOWN"
)

// instance is a registered instance, as AWS tells it.
type instance struct {
	id         string
	health     string
	attributes map[string]string
}

// endpointsOf reads what is registered, in the order of the addresses. An instance that cannot be read is an error of all: without it
// the origin would look as if it had shrunk.
//
// An instance that is unhealthy drains while others are not unhealthy. If all are, none is known to be better than the others, and all
// take requests: so does AWS ("healthy or else all").
func endpointsOf(found []instance, t Target) ([]discovery.Endpoint, error) {
	out := make([]discovery.Endpoint, 0, len(found))
	for _, i := range inOrder(found) {
		address, err := addressOf(i, t)
		if err != nil {
			return nil, err
		}
		e := discovery.Endpoint{
			Address: address, Zone: i.attributes[attributeZone], Health: cut(strings.ToLower(i.health), maxHealthBytes),
			State: discovery.Ready, Metadata: metadataOf(i),
		}
		if i.health == healthUnhealthy {
			e.State = discovery.Draining
		}
		out = append(out, e)
	}
	return failOpen(unique(out)), nil
}

// inOrder sorts by ID, so that the order in which AWS tells instances, which is random, means nothing.
func inOrder(found []instance) []instance {
	return slices.SortedFunc(slices.Values(found), func(a, b instance) int {
		if c := cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.health, b.health)); c != 0 {
			return c
		}
		return cmp.Compare(fmt.Sprint(a.attributes), fmt.Sprint(b.attributes)) // pages that changed while they were read
	})
}

// unique leaves each address once. What is registered twice takes requests if one of both says so.
func unique(es []discovery.Endpoint) []discovery.Endpoint {
	slices.SortStableFunc(es, func(a, b discovery.Endpoint) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(draining(a), draining(b)))
	})
	return slices.CompactFunc(es, func(a, b discovery.Endpoint) bool { return a.Address == b.Address })
}

func draining(e discovery.Endpoint) int {
	if e.State == discovery.Draining {
		return 1
	}
	return 0
}

// failOpen makes all take requests if none would.
func failOpen(es []discovery.Endpoint) []discovery.Endpoint {
	if slices.ContainsFunc(es, func(e discovery.Endpoint) bool { return e.State == discovery.Ready }) {
		return es
	}
	for i := range es {
		es[i].State = discovery.Ready
	}
	return es
}

// addressOf is where an instance listens: at its IPv4 address, if it has one.
func addressOf(i instance, t Target) (netip.AddrPort, error) {
	text, v4 := i.attributes[attributeIPv4], true
	if text == "" {
		text, v4 = i.attributes[attributeIPv6], false
	}
	if text == "" {
		return netip.AddrPort{}, withoutAddress(i, t)
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Is4() != v4 || address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() {
		kind := attributeIPv6
		if v4 {
			kind = attributeIPv4
		}
		return netip.AddrPort{}, refuse(i, t, text, "cloudmap_address_invalid", fmt.Sprintf("has no usable address in %s", kind), correct)
	}
	port, err := portOf(i, t)
	return netip.AddrPortFrom(address.Unmap(), port), err
}

// metadataOf is what is kept of the attributes: the first by name, without those that the endpoint has already.
func metadataOf(i instance) map[string]string {
	out := map[string]string{}
	if i.id != "" {
		out[metadataInstance] = cut(i.id, maxMetadataBytes)
	}
	for _, name := range slices.Sorted(maps.Keys(i.attributes)) {
		switch name {
		case attributeIPv4, attributeIPv6, attributePort, attributeCNAME, attributeAlias, attributeInitHealth, attributeZone, "":
			continue
		}
		if len(out) >= maxMetadata {
			break
		}
		out[cut(name, maxMetadataBytes)] = cut(i.attributes[name], maxMetadataBytes)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// cut shortens a text to some bytes of valid UTF-8.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
