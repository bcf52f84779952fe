// Package policy is the meaning of intent: what a service, an origin, a split and a pin are.
//
// A document as a user writes it is a message of api/crossfade/v1. [CompileService] turns it into an immutable [Service] in which
// every default is filled in, every duration parsed, every expression compiled and every rule checked, so that what reads a *Service
// never asks whether it is valid. Rules that span services are in [CheckServices]. [Router] is the pure model of what a proxy does
// with a request: the semantics tests hold Envoy against it, and `route explain` answers from it.
//
// The package starts no goroutine, reads no clock, logs nothing, and imports nothing of this repository but the API.
package policy
