package server

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/store/backup"
)

// Backup implements the contract.
func (a *Admin) Backup(_ *crossfadev1.BackupRequest, stream grpc.ServerStreamingServer[crossfadev1.BackupResponse]) error {
	select {
	case a.exports <- struct{}{}:
		defer func() { <-a.exports }()
	default:
		return &policy.Error{Kind: policy.Unavailable, Code: "busy", Message: fmt.Sprintf("%d backups are being made", maxExports), Next: "try again when one is done"}
	}
	began := time.Now()
	b := &backupStream{admin: a, out: newParts(a, stream), began: began}
	end, err := b.run(stream.Context())
	if err != nil {
		a.Log.WarnContext(stream.Context(), "a backup was not finished", "who", who(stream.Context(), ""), "error", err, "took", time.Since(began))
		return asPolicy(err)
	}
	a.Log.InfoContext(stream.Context(), "a backup was made", "who", who(stream.Context(), ""), "revisions", end.GetRevisions(), "bytes", end.GetBytes(), "took", time.Since(began))
	return nil
}

// asPolicy gives an error of the store the form of the contract.
func asPolicy(err error) error {
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return &policy.Error{Kind: policy.Unavailable, Code: "store_unavailable", Message: err.Error()}
	case errors.Is(err, store.ErrCorrupt):
		return &policy.Error{Kind: policy.Internal, Code: "store_corrupt", Message: err.Error(), Next: "stop the server and run `xds-server check --data-dir DIR`"}
	}
	return err
}

// backupStream is one backup on its way.
type backupStream struct {
	admin *Admin
	out   *parts[crossfadev1.BackupResponse]
	began time.Time
	seq   store.Sequence
}

func (b *backupStream) run(ctx context.Context) (*crossfadev1.BackupEnd, error) {
	// The journal first: what is recorded meanwhile is in both then, and told apart by its stamp. The other way it could be in neither.
	journal := b.admin.Journal()
	sum := sha256.New()
	data := bufio.NewWriterSize(io.MultiWriter(sum, b.out.writer(func(p []byte) *crossfadev1.BackupResponse {
		return &crossfadev1.BackupResponse{Part: &crossfadev1.BackupResponse_Data{Data: p}}
	})), chunk)
	var w *backup.Writer
	err := b.admin.Export(ctx, func(i store.Item) (err error) {
		if i.Head != nil {
			if w, err = b.begin(i.Head, journal, data); err != nil {
				return err
			}
		}
		if err := b.seq.Add(i); err != nil {
			return err
		}
		return w.Item(i)
	})
	if err == nil {
		err = b.seq.End()
	}
	if err == nil {
		err = errors.Join(w.End(), data.Flush())
	}
	if err != nil {
		return nil, err
	}
	revisions, live := b.seq.Counts()
	end := &crossfadev1.BackupEnd{Bytes: w.Bytes(), Sha256: sum.Sum(nil), Revisions: int64(revisions), Live: int64(live)}
	return end, b.out.send(&crossfadev1.BackupResponse{Part: &crossfadev1.BackupResponse_End{End: end}})
}

// begin sends what is coming, and begins the file.
func (b *backupStream) begin(h *store.Head, journal [][]byte, data io.Writer) (*backup.Writer, error) {
	begin := &crossfadev1.BackupBegin{
		Revision: h.Revision, Revisions: int64(h.Revisions), JournalEntries: int32(len(journal)), Version: b.admin.Version, Time: timestamppb.New(b.began),
	}
	if err := b.out.send(&crossfadev1.BackupResponse{Part: &crossfadev1.BackupResponse_Begin{Begin: begin}}); err != nil {
		return nil, err
	}
	w, err := backup.NewWriter(data, backup.Header{Made: b.began, Version: b.admin.Version})
	for _, entry := range journal {
		if err == nil {
			err = w.Journal(entry)
		}
	}
	return w, err
}

// parts sends messages to a caller that may not read them.
type parts[M any] struct {
	admin  *Admin
	stream grpc.ServerStreamingServer[M]
	stall  *time.Timer
}

func newParts[M any](a *Admin, stream grpc.ServerStreamingServer[M]) *parts[M] {
	return &parts[M]{admin: a, stream: stream, stall: time.NewTimer(a.Stall)}
}

// send sends one message, unless the caller does not take it in time. Its goroutine ends when the stream has.
func (p *parts[M]) send(m *M) error {
	sent := make(chan error, 1)
	go func() { sent <- p.stream.Send(m) }()
	p.stall.Reset(p.admin.Stall)
	select {
	case err := <-sent:
		return err
	case <-p.stream.Context().Done():
		return p.stream.Context().Err()
	case <-p.stall.C:
		return newStatus(codes.ResourceExhausted, policy.Errors{{
			Code: "too_slow", Message: fmt.Sprintf("a part was not read within %s", p.admin.Stall), Next: "try again from nearer, or on a faster disk",
		}}, nil)
	}
}

// writer sends what is written to it.
func (p *parts[M]) writer(message func([]byte) *M) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		for at := 0; at < len(b); at += chunk {
			part := b[at:min(at+chunk, len(b))]
			if err := p.send(message(append([]byte(nil), part...))); err != nil {
				return at, err
			}
		}
		return len(b), nil
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
