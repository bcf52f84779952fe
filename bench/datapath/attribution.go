package main

import (
	"context"
	"fmt"

	"github.com/crossfade-proxy/crossfade/internal/envoyproc"
)

// attribution measures which pieces of what we generate cost what. The configuration of a proxy of the fleet is taken from it and made static; the
// same less one piece is asked beside it.
func (b *bench) attribution(ctx context.Context) error {
	s, err := b.site(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	live, err := s.fleet(ctx, feature{name: "one"}, b.addresses())
	if err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	v := &variants{bench: b, hosts: live.plan.Hosts}
	defer v.close()
	if v.dump, err = takeDump(ctx, s.Proxies[0]); err != nil {
		return err
	}
	least, end, err := b.startMinimal(ctx)
	if err != nil {
		return err
	}
	defer end()
	for _, s := range []*system{live, least} {
		s.c = map[string]any{"services": 1, "part": "attribution"}
	}
	base, less, err := v.start(ctx)
	if err != nil {
		return err
	}
	if err := b.chooseRate(ctx, live); err != nil {
		return err
	}
	groups := b.beside(base, append([]*system{live, least}, less...))
	if err := b.together(ctx, b.pairs, groups); err != nil {
		return err
	}
	b.reportGroups(base.name, groups)
	return nil
}

// variants are Envoys with what one of the fleet has, in whole and less a piece.
type variants struct {
	*bench
	dump   dump
	hosts  []string
	envoys []*envoyproc.Process
}

// start starts the whole and all others, and waits until they serve.
func (v *variants) start(ctx context.Context) (whole *system, less []*system, err error) {
	if whole, err = v.startWithout(ctx, piece{name: "nothing"}); err != nil {
		return nil, nil, err
	}
	for _, p := range pieces() {
		s, err := v.startWithout(ctx, p)
		if err != nil {
			return nil, nil, fmt.Errorf("without %s: %w", p.name, err)
		}
		less = append(less, s)
	}
	for _, e := range v.envoys {
		if err := ready(ctx, e); err != nil {
			return nil, nil, err
		}
	}
	return whole, less, nil
}

func (v *variants) startWithout(ctx context.Context, p piece) (*system, error) {
	at, err := v.newPlace()
	if err != nil {
		return nil, err
	}
	config, err := v.dump.without(p, at)
	if err != nil {
		return nil, err
	}
	e, err := v.startEnvoy(ctx, config)
	if err != nil {
		return nil, err
	}
	v.envoys = append(v.envoys, e)
	s := at.system("crossfade generated", e.PID())
	s.c, s.plan.Hosts = map[string]any{"without": p.name}, v.hosts
	return s, nil
}

func (v *variants) close() {
	for _, e := range v.envoys {
		e.Kill()
	}
}
