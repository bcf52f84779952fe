// Package mtls is mutual TLS as all of the house speaks it: certificates from files that may change at any time, peers that are verified against
// authorities and revocation lists, and connections that end when what their peer has shown is good no more. A stream of a proxy lives for weeks, so
// that a look at the beginning is not enough.
//
// [Open] reads the files, [Keeper.Run] reads them anew when they change and ends connections. Servers take a listener from [Keeper.Listener] and
// [Keeper.Credentials] for gRPC or [Keeper.ServerConfig] for HTTP; clients take [Keeper.Dialer].
package mtls
