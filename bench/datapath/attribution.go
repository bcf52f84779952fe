package main

import "context"

// attribution measures which pieces of what we generate cost what. The configuration of a proxy of the fleet is taken from it and made static; the
// same less one piece is asked beside it. The control plane stays, since they send it statistics.
func (b *bench) attribution(ctx context.Context) error {
	if err := b.chooseRate(ctx); err != nil {
		return err
	}
	s, err := b.site(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	live := b.fleet(feature{name: "one"})
	live.c = map[string]any{"services": 1, "part": "attribution"}
	var d dump
	if err := s.started(ctx, []*entry{{system: live}}, func() (err error) {
		d, err = takeDump(ctx, s.Proxies[0])
		return err
	}); err != nil {
		return err
	}
	base := b.generated(d, piece{name: "nothing"})
	others := []*system{live, b.minimal(live.c)}
	for _, p := range pieces() {
		others = append(others, b.generated(d, p))
	}
	groups := b.beside(base, others)
	for range b.pairs {
		for _, g := range groups {
			if err := s.started(ctx, g, func() error { return b.together(ctx, g) }); err != nil {
				return err
			}
		}
	}
	b.reportGroups(base.name, groups)
	return nil
}

// generated is an Envoy with what one of the fleet has, less a piece.
func (b *bench) generated(d dump, p piece) *system {
	return &system{name: "crossfade generated", c: map[string]any{"without": p.name}, start: func(ctx context.Context, _ *site) (*process, error) {
		out, err := b.startEnvoy(ctx, func(at place) ([]byte, error) { return d.without(p, at) })
		if err == nil {
			out.plan.Hosts = feature{name: "one"}.hosts()
		}
		return out, err
	}}
}
