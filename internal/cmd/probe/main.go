// Command probe asks a program on this machine whether it is well, for containers that have neither shell nor curl: exit 0 if it answers
// with a status of class 2xx, 1 if not, 2 for bad arguments.
//
//	probe https://127.0.0.1:18081/healthz
//
// It asks loopback only, and sends nothing that is secret. So it does not ask who answers: certificates name the machine, not 127.0.0.1.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"
)

// timeout is how long an answer may take.
const timeout = 3 * time.Second

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1
	exitInvalid = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

// run is main without what belongs to the process.
func run(args []string, stderr io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintln(stderr, "usage: probe URL, for example https://127.0.0.1:18081/healthz")
		return exitInvalid
	}
	if err := check(args[0]); err != nil {
		fmt.Fprintln(stderr, "probe:", err)
		return exitInvalid
	}
	if err := ask(args[0]); err != nil {
		fmt.Fprintln(stderr, "probe:", err)
		return exitFailed
	}
	return exitOK
}

// check refuses what is not a URL of this machine.
func check(where string) error {
	u, err := url.Parse(where)
	if err != nil {
		return err
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%s: must begin with http:// or https://", where)
	}
	a, err := netip.ParseAddr(u.Hostname())
	if err != nil || !a.IsLoopback() {
		return fmt.Errorf("%s: the host must be a loopback address, for example 127.0.0.1", where)
	}
	return nil
}

// ask sends one request, and no other where the answer leads elsewhere.
func ask(where string) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout, fmt.Errorf("no answer within %v", timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport: &http.Transport{
			DialContext:       (&net.Dialer{}).DialContext,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, // see the package comment
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("%s answers %s: %s", where, resp.Status, body)
	}
	return nil
}
