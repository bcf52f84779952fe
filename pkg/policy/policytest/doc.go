// Package policytest makes random valid services and requests that are likely to hit them. Tests of several packages need the same
// ones: what policy models, translate translates and a real Envoy does must agree on them.
//
// The same seed gives the same documents and requests.
package policytest
