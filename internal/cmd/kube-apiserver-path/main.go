// Command kube-apiserver-path prints the path of the kube-apiserver that tests run, building it first if need be, which takes minutes
// and both cores: `make test` does that before any test begins.
//
//	go run ./internal/cmd/kube-apiserver-path
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/crossfade-proxy/crossfade/internal/kubetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	path, err := kubetest.Binary(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kube-apiserver-path:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}
