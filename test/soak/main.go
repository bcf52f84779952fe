// Command soak runs a control plane for the work of a day, in minutes, and says whether anything grew that should not: memory, goroutines,
// descriptors, files.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	wall := flag.Duration("for", 10*time.Minute, "how long it runs")
	minutes := flag.Int("minutes", 24*60, "how many minutes of work that is")
	flag.Parse()
	result, err := run(ctx, *wall, *minutes, os.Stderr)
	stop()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err == nil {
		err = result.judge()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}
