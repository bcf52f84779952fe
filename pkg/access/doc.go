// Package access says who may do what: by roles, a verified name, and a request. What no table names is refused.
//
// It decides and nothing else: callers show it names that a handshake has verified, and tell people what it said.
package access
