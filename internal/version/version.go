// Package version says which build this is, alike in the server, the CLI and the benchmarks.
package version

import "runtime/debug"

// stamped is set by the Makefile: -ldflags "-X github.com/crossfade-proxy/crossfade/internal/version.stamped=v1.2.3".
var stamped string

// String is the version: what the build stamped, or else the module's version if it was installed by `go install`, or "devel".
func String() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
