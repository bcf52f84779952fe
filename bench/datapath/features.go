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

// features measures what each feature adds to a request, against the defaults, in pairs of turns.
func (b *bench) features(ctx context.Context) error {
	s, err := b.site(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	base, err := s.fleet(ctx, feature{name: "none"}, b.addresses())
	if err != nil {
		return err
	}
	secret, err := newSecret(b.dir)
	if err != nil {
		return err
	}
	var others []*system
	all := priced(b.services)
	for _, f := range all {
		sys, end, err := b.withFeature(ctx, s, secret, f)
		if err != nil {
			return err
		}
		defer end()
		others = append(others, sys)
	}
	if err := s.ready(ctx, all...); err != nil {
		return err
	}
	if err := b.chooseRate(ctx, base); err != nil {
		return err
	}
	groups := b.beside(base, others)
	if err := b.together(ctx, b.pairs, groups); err != nil {
		return err
	}
	b.reportGroups(plain, groups)
	for _, f := range all {
		if f.mirror == whole { // of another share, a quick run may copy nothing
			if err := s.copied(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// withFeature starts a fleet with a feature, and what stands before and behind it where that is TLS.
func (b *bench) withFeature(ctx context.Context, s *site, secret secret, f feature) (*system, func(), error) {
	var relays []*relay
	end := func() {
		for _, r := range relays {
			r.close()
		}
	}
	add := func(r *relay, err error) (string, error) {
		if err != nil {
			end()
			return "", err
		}
		relays = append(relays, r)
		return r.address(), nil
	}
	origins := b.addresses()
	if f.secureOrigins {
		f.origin = fmt.Sprintf("tls: {serverName: %s, caFile: %s}", secureName, secret.cert)
		for i := range origins {
			var err error
			if origins[i], err = add(secret.outOfTLS(origins[i])); err != nil {
				return nil, nil, err
			}
		}
	}
	if f.secureClients {
		f.fleet = fmt.Sprintf("listeners: [{port: %s, tls: {certificates: [{certificateFile: %s, keyFile: %s}]}}]", port, secret.cert, secret.key)
	}
	sys, err := s.fleet(ctx, f, origins)
	if err != nil {
		end()
		return nil, nil, err
	}
	if f.secureClients {
		if sys.plan.Target, err = add(secret.intoTLS(sys.plan.Target)); err != nil {
			return nil, nil, err
		}
	}
	return sys, end, nil
}

// copied returns an error unless copies were made of the requests of a fleet: else the price would be of nothing.
func (s *site) copied(ctx context.Context, f feature) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return poll.Until(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		got, err := s.API.GetMirrorReport(ctx, &crossfadev1.GetMirrorReportRequest{Name: f.id()})
		if err == nil && got.GetReport().GetMirrored() == 0 {
			err = fmt.Errorf("%s: nothing was copied", f.name)
		}
		return err
	})
}
