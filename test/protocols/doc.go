// Package protocols holds whole protocols against real Envoys while the fleet changes under them: gRPC, WebSocket, server-sent events, large
// bodies and the odder parts of HTTP, each directly and through the fleet, at rest, while weights change several times a second, and while
// everything else changes at once. docs/protocols.md is its table. It has tests only.
package protocols
