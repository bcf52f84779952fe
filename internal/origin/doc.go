// Package origin is a toy origin for tests, the demo and the benchmarks: an application whose log is the truth about who got which
// request, and when.
//
// One port speaks HTTP/1.0 and 1.1, HTTP/2 in clear text, gRPC (the health service, and TestService of google.golang.org/grpc/interop)
// and WebSocket (echo). Every answer carries `X-Origin: NAME`. Unless [Config].Plain, its body is an [Echo]: what arrived, byte for
// byte. Requests may ask for a certain answer, see [AnswerHeader].
//
// What arrived is asked by [Origin.Last], [Origin.CountSince], [Origin.Requests] and [Origin.AwaitTotal]; all times are of one clock,
// [Now], which holds for all processes of a machine. [Origin.SetFaults] and [Origin.SetState] break the origin while it runs; [Origin.Drain],
// [Origin.Shutdown] and [Origin.Close] are three ways in which applications end.
package origin
