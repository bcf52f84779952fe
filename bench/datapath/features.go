package main

import (
	"context"
	"fmt"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// plain is the name of what features are compared with: ours as it is by default.
const plain = "crossfade defaults"

// features measures what each feature adds to a request, against the defaults, in pairs of turns. Each pair has a control plane of its own.
func (b *bench) features(ctx context.Context) error {
	if err := b.chooseRate(ctx); err != nil {
		return err
	}
	secret, err := newSecret(b.dir)
	if err != nil {
		return err
	}
	var others []*system
	for _, f := range priced(b.services) {
		sys := b.fleet(f)
		sys.start = func(ctx context.Context, s *site) (*process, error) { return b.withFeature(ctx, s, secret, f) }
		others = append(others, sys)
	}
	groups := b.beside(b.fleet(feature{name: "none"}), others)
	for range b.pairs {
		for _, g := range groups {
			if err := b.fresh(ctx, g, func() error { return b.together(ctx, g) }); err != nil {
				return err
			}
		}
	}
	b.reportGroups(plain, groups)
	return nil
}

// withFeature starts a proxy of a fleet with a feature, and what stands before and behind it where that is TLS.
func (b *bench) withFeature(ctx context.Context, s *site, secret secret, f feature) (out *process, err error) {
	var relays []*relay
	end := func() {
		for _, r := range relays {
			r.close()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	add := func(r *relay, err error) (string, error) {
		if err != nil {
			return "", err
		}
		relays = append(relays, r)
		return r.address(), nil
	}
	origins := b.addresses()
	if f.secureOrigins {
		f.origin = fmt.Sprintf("tls: {serverName: %s, caFile: %s}", secureName, secret.cert)
		for i := range origins {
			if origins[i], err = add(secret.outOfTLS(origins[i])); err != nil {
				return nil, err
			}
		}
	}
	if f.secureClients {
		f.fleet = fmt.Sprintf("listeners: [{port: %s, tls: {certificates: [{certificateFile: %s, keyFile: %s}]}}]", port, secret.cert, secret.key)
	}
	if out, err = s.fleet(ctx, f, origins); err != nil {
		return nil, err
	}
	kill := out.end
	out.end = func() {
		kill()
		end()
	}
	if f.secureClients {
		if out.plan.Target, err = add(secret.intoTLS(out.plan.Target)); err != nil {
			kill()
			return nil, err
		}
	}
	return out, nil
}

// copied returns an error unless copies were made of the requests to a fleet, all the time: else the price would be of less. They are of those to
// control, which are half.
func (s *site) copied(ctx context.Context, f feature, requests uint64) error {
	least := uint64(1)
	if requests >= 1000 { // fewer are too few to say more
		least = requests / 4
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return poll.Until(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		got, err := s.API.GetMirrorReport(ctx, &crossfadev1.GetMirrorReportRequest{Name: f.id()})
		if n := got.GetReport().GetMirrored(); err == nil && n < int64(least) {
			err = fmt.Errorf("%d of %d requests were copied", n, requests)
		}
		return err
	})
}
