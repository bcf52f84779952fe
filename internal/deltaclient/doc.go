// Package deltaclient is a proxy without a data plane: it subscribes, acknowledges, refuses and comes back as an Envoy does, and keeps
// of each resource its version and a checksum. Tests use a few to see what a control plane does with a proxy that misbehaves; the
// fleet bench uses thousands, so a client decodes only what it needs to know what to ask for next.
//
// What an Envoy does was measured (docs/design/levers.md): one request for each runtime layer, and nothing else until each is
// answered; then clusters, endpoints by the names of the clusters, listeners once the clusters have their endpoints, route
// configurations by the names in the listeners, and all virtual hosts as soon as a route configuration wants them. New subscriptions
// leave before the acknowledgement of what led to them. After a reconnect each type is asked for at once, with the versions held.
package deltaclient
