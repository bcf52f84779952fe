package control

import (
	"context"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

type proofs struct{}

func (c *Controller) startProofs(*change) *proofs { return &proofs{} }

func (p *proofs) close()                                                {}
func (p *proofs) acked(*change)                                         {}
func (p *proofs) await(context.Context) error                           { return nil }
func (p *proofs) of(string) *crossfadev1.Proof                          { return nil }
func (c *Controller) overridden(string, string) bool                    { return false }
func (c *Controller) traffic(string, string) *crossfadev1.OriginTraffic { return nil }
