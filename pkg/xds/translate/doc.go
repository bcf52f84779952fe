// Package translate turns policy into Envoy resources. It is pure: the same services in any order give the same bytes.
//
// Structure (listeners, routes, virtual hosts, clusters) carries in each lever's place the safe value: the primary everything, other
// origins 0, pins off. Live weights and pin switches are levers: runtime keys, see [Levers].
package translate
