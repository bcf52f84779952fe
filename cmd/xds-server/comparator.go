package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/crossfade-proxy/crossfade/internal/mtls"
	"github.com/crossfade-proxy/crossfade/internal/supervise"
	"github.com/crossfade-proxy/crossfade/internal/version"
	"github.com/crossfade-proxy/crossfade/pkg/comparator"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// What the comparator of a server may cost: what it is given by others must not cost the server anything.
const (
	softMemory = "512MiB" // GOMEMLIMIT
	hardMemory = 1 << 30  // bytes
	childNice  = 5
)

// comparatorFD is the flag by which a server hands its listener to the child.
const comparatorFD = "comparator-fd"

// maxOrders bounds what a control plane may say at once, in bytes: documents of experiments come with descriptors.
const maxOrders = 64 << 20

// startComparator runs a comparator on a listener as a child process that works for the API at an address, until Stop or the end of ctx. The
// listener stays open here while the child is down: its address is kept, and who connects waits. The Process is nil where comparators run
// elsewhere, or it cannot be started at all, which the log says: the rest of the server goes on. Stop it before the API, to which it says what it
// has counted.
func startComparator(ctx context.Context, c *config, ln net.Listener, api string, log *slog.Logger) *supervise.Process {
	if !c.comparatorChild {
		return nil
	}
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		log.Error("the comparator cannot be given its listener: experiments compare nothing until the server is started again", "error", err)
		return nil
	}
	return supervise.Start(ctx, supervise.Config{
		Name: roleComparator, Args: c.comparatorArgs(api), Env: c.comparatorEnv(os.Environ()), Files: []*os.File{file}, Stderr: os.Stderr, Log: log,
		Memory: hardMemory, Nice: childNice,
	})
}

// comparatorArgs are the arguments of a child.
func (c *config) comparatorArgs(api string) []string {
	args := []string{"--role", roleComparator, "--" + comparatorFD, "3", "--server", api, "--log-format", c.logFormat}
	if c.secure() {
		for _, f := range c.tlsFiles() {
			args = append(args, f.flag, f.value)
		}
		args = append(args, "--tls-server-name", c.tlsServerName)
	} else {
		args = append(args, "--dev")
	}
	if c.tls.CRL != "" {
		args = append(args, "--tls-crl", c.tls.CRL)
	}
	if ip, err := netip.ParseAddr(c.advertise); err == nil && (ip.Unmap().IsLoopback() || c.secure()) { // a name would not do for proxies
		args = append(args, "--advertise", c.advertise)
	}
	return args
}

// comparatorEnv is what of the variables a child gets: those of Go and the time zone, and its token. The others are the server's, and may hold its
// secrets.
func (c *config) comparatorEnv(environ []string) []string {
	env := slices.DeleteFunc(slices.Clone(environ), func(v string) bool { return !strings.HasPrefix(v, "GO") && !strings.HasPrefix(v, "TZ=") })
	return append(env, "GOMEMLIMIT="+softMemory, tokenVariable+"="+c.token.reveal())
}

// compare runs the comparator until ctx ends.
func compare(ctx context.Context, c *config, stderr io.Writer) error {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // of package log, too: net/http prints there what it did not expect of a peer: that may be traffic
	log := newLog(c.logFormat, stderr).With("role", roleComparator)
	hangup, deaf := hangups()
	defer deaf()
	keeper, err := c.openTLS(log)
	if err != nil {
		return err
	}
	ln, err := c.comparatorListener()
	if err != nil {
		return err
	}
	defer ln.Close()
	token, err := c.comparatorToken()
	if err != nil {
		return err
	}
	token.secure = keeper != nil
	conn, err := dial(c.server, token, c.towardsServer(keeper))
	if err != nil {
		return wrap("reach --server", err)
	}
	defer conn.Close()
	address := listeners{"": ln}.advertised(c.advertise)[""]
	log.Info("serving", "version", version.String(), "comparator", ln.Addr().String(), "advertised", address, "server", c.server)
	if err := c.announceComparator(ln); err != nil {
		return err
	}
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	var reading sync.WaitGroup
	reading.Go(func() { newReloader(&config{}, keeper, log).run(work, hangup) })
	if keeper != nil {
		reading.Go(func() { keeper.Run(work) })
	}
	defer reading.Wait()
	defer stopWork()
	err = comparator.Run(ctx, comparator.Config{Listener: ln, Advertise: address, Server: conn, Secure: secureCopies(keeper), Log: log, Version: version.String()})
	return errors.Join(err, removeReady(c.readyFile))
}

// secureCopies is how a comparator and proxies speak TLS; nil without it.
func secureCopies(keeper *mtls.Keeper) comparator.Secure {
	if keeper == nil {
		return nil
	}
	return copies{keeper}
}

// copies is what proxies send to a comparator, and what it asks of them, by TLS.
type copies struct{ *mtls.Keeper }

// Listener implements comparator.Secure.
func (c copies) Listener(ln net.Listener) net.Listener {
	return tls.NewListener(c.Keeper.Listener(ln, roleComparator), c.ServerConfig(false, "http/1.1"))
}

// Refused implements comparator.Secure.
func (c copies) Refused() slog.Handler { return c.HandshakeLog(roleComparator) }

// announceComparator writes the ready file, if one is wanted, over that of a process that was killed.
func (c *config) announceComparator(ln net.Listener) error {
	if c.readyFile == "" {
		return nil
	}
	return ready{PID: os.Getpid(), Version: version.String(), Comparator: ln.Addr().String()}.write(c.readyFile)
}

// comparatorListener is where copies come: a listener that was handed over, or one of its own.
func (c *config) comparatorListener() (net.Listener, error) {
	if c.comparatorFD == 0 {
		ls, err := bind(c)
		return ls["comparator"], err
	}
	// What top and ps show of the child: by default, the name of the link by which it was started. Only Linux has the file.
	_ = os.WriteFile("/proc/self/comm", []byte("xds-comparator"), 0)
	file := os.NewFile(uintptr(c.comparatorFD), comparatorFD)
	defer file.Close()
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, &policy.Error{
			Kind: policy.Unavailable, Code: "cannot_listen", Field: "--" + comparatorFD, Value: fmt.Sprint(c.comparatorFD), Message: "is no listener: " + err.Error(),
			Next: "use --comparator-listen; this flag is for the control plane, which starts its comparator so",
		}
	}
	if !c.secure() && !isLoopback(ln) {
		ln.Close()
		return nil, notLoopback(listen{flag: "--" + comparatorFD, address: ln.Addr().String()})
	}
	return ln, nil
}

// towardsServer are the credentials of the connection to a control plane. A nil keeper: in clear text.
func (c *config) towardsServer(keeper *mtls.Keeper) credentials.TransportCredentials {
	if keeper == nil {
		return insecure.NewCredentials()
	}
	return keeper.Dialer(c.tlsServerName)
}

// dial returns a connection to the API of a control plane, with a token. It is made when it is first used, and again when it was lost.
func dial(address string, token credentials.PerRPCCredentials, creds credentials.TransportCredentials) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(creds),
		grpc.WithPerRPCCredentials(token),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}, MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxOrders)),
	)
}
