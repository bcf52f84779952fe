// Command envoy-path prints the path of the Envoy that tests, benchmarks and the demo run, installing it first if need be; which
// one it is goes to standard error.
//
//	go run ./internal/cmd/envoy-path [-version 1.37.0]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
)

func main() {
	version := flag.String("version", envoybin.Newest, "version to find")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := envoybin.Find(ctx, *version, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "envoy-path:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "using", b)
	fmt.Println(b.Path)
}
