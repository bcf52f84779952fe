package xds

import "context"

// Admit says whether the caller of a stream may be a proxy of a fleet; its error is the status with which the stream ends. Streams are asked once,
// when they say whose they are.
type Admit func(ctx context.Context, fleet, proxy string) error

// admitted asks who may be a proxy of a fleet. Without an Admit everybody may.
func (s *session) admitted(fleet, proxy string) error {
	if s.server.admit == nil {
		return nil
	}
	return s.server.admit(s.ctx, fleet, proxy)
}
