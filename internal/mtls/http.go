package mtls

import (
	"context"
	"errors"
	"log/slog"
	"strings"
)

// HandshakeLog returns a handler for the error log of an http.Server, by slog.NewLogLogger. It takes the lines about handshakes, and drops the others,
// which may quote what a client sent.
func (k *Keeper) HandshakeLog(listener string) slog.Handler { return &handshakeLog{k, listener} }

type handshakeLog struct {
	keeper   *Keeper
	listener string
}

// Enabled implements slog.Handler.
func (*handshakeLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler: the library has this text alone.
func (h *handshakeLog) Handle(_ context.Context, r slog.Record) error {
	if rest, ok := strings.CutPrefix(r.Message, "http: TLS handshake error from "); ok {
		remote, why, _ := strings.Cut(rest, ": ")
		h.keeper.refused(h.listener, remote, errors.New(why))
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h *handshakeLog) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h *handshakeLog) WithGroup(string) slog.Handler { return h }
