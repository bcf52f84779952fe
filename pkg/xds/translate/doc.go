// Package translate turns policy into Envoy resources. It is pure: the same services in any order give the same bytes.
//
// Structure (listeners, routes, virtual hosts, clusters) carries in each lever's place the safe value: the primary everything, other
// origins 0, pins off. Live weights and pin switches are levers: runtime keys, see [Levers].
//
// # How a request finds its service
//
//   - The listener's port chooses the RouteConfiguration, "listener/PORT".
//   - The most specific host that matches chooses the virtual host: an exact name, else the wildcard with the longest suffix, else "*".
//     Port, case and one trailing dot do not count. Envoy never falls back from there: a host that only /api is served on answers 404
//     for /, also when a wildcard or "*" service would take it.
//   - In that virtual host, all services that name exactly this host compete by path prefix: whole segments, the longest first.
//   - Then the service's pins in the order written, then its split.
//
// policy.Router is the same rule written a second time; the semantics tests hold Envoy against it.
//
// # Virtual hosts
//
// Hosts with the same list of services share one virtual host, "listener/PORT/HOST" with the first of its hosts. The host "*" is always on its
// own, "listener/PORT/*", and there even if no service wants it: Envoy holds a listener back until the first virtual host arrives, and
// requests that nobody serves are answered there. A host that moves between two virtual hosts must do so in one VHDS response, or Envoy
// refuses it as a duplicate.
//
// # Stickiness
//
// The hash of the user's key picks a point in the row of clusters, each as wide as its weight; see order in split.go for how the row is
// laid out so that users move only between the primary and the origin whose weight changes, and docs/design/sticky.md for why.
//
// # Mirrors
//
// Where a mirror runs, directly before each route of its service stand variants of it with the same action, narrowed to the requests that are
// copied, and with a mirror policy: so a request goes where it would go without. How many of them are copied is a lever, at 0 until
// it arrives. Copies go to one cluster, "@comparator"; a comparator asks the origins again through the experiment listener, which
// reaches clusters "SERVICE/ORIGIN@shadow" alone. No name of a service has an "@".
package translate
