// Package envoyproc runs real Envoys as child processes, for tests, benchmarks and the demo, and asks their admin interface.
//
// A [Process] dies with its parent, even if that panics or is killed (on Linux), so that nothing is left behind. Tests use package
// envoytest, which wraps this one.
package envoyproc
