// Package server is what a control plane shows to the outside: the gRPC API crossfade.v1, and the HTTP endpoints for machines that watch it.
//
// It decides nothing about traffic: a call is checked for its bounds, handed to the [Controller], and the answer or error put into the
// form of the contract. Every error status carries an ErrorDetail per problem, and the changes that stand in spite of it.
package server
