package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/identity"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Bounds of a request.
const (
	maxReason    = 1024 // bytes
	maxActor     = 256
	maxKey       = 256
	maxName      = 253
	maxDocuments = 1000
	maxTimeout   = time.Hour
)

// changeRequest is a request that changes something.
type changeRequest interface {
	proto.Message
	GetOptions() *crossfadev1.ChangeOptions
}

// options checks the options of a change and puts them into the controller's form. The error holds what was wrong before as well.
func (p *problems) options(ctx context.Context, r changeRequest) (control.Options, error) {
	in := r.GetOptions()
	p.text("options.reason", in.GetReason(), maxReason, "\n\t")
	p.text("options.actor", in.GetActor(), maxActor, "")
	p.text("options.idempotencyKey", in.GetIdempotencyKey(), maxKey, "")
	if n := in.GetExpectRevision(); n < 0 {
		p.add("out_of_range", "options.expectRevision", fmt.Sprint(n), "must be a revision, or 0 to compare with none")
	}
	if _, known := crossfadev1.Wait_name[int32(in.GetWait())]; !known {
		p.add("wait_unknown", "options.wait", in.GetWait().String(), "must be none, acked or proven")
	}
	name := verifiedName(ctx)
	o := control.Options{
		Who: who(ctx, in.GetActor()), Verified: name != "", Name: name, Reason: in.GetReason(), Expect: in.GetExpectRevision(), Key: in.GetIdempotencyKey(),
		Wait: in.GetWait(), Timeout: p.timeout("options.timeout", in.GetTimeout()), Force: in.GetForce(),
	}
	if o.Key != "" && len(p.Errors) == 0 {
		digest, err := requestDigest(r)
		if err != nil {
			return control.Options{}, err
		}
		o.Digest = digest
	}
	return o, p.Err()
}

// requestDigest identifies what a request asks for, whatever it wants to wait for, and from wherever: a job that is run again may run on another machine.
func requestDigest(r changeRequest) ([]byte, error) {
	c := proto.Clone(r).(changeRequest)
	if o := c.GetOptions(); o != nil {
		o.Wait, o.Timeout, o.Actor = crossfadev1.Wait_WAIT_UNSPECIFIED, nil, ""
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("digest of a request: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00", proto.MessageName(r)) // each method has a request type of its own
	h.Write(b)
	return h.Sum(nil), nil
}

// verifiedName is the name in the caller's certificate, empty if it showed none.
func verifiedName(ctx context.Context) string {
	caller, err := identity.FromContext(ctx)
	if err != nil { // such a call is not let in
		return ""
	}
	return caller.Name
}

// who says who asks: the name in the certificate, and beside it what the caller says, where that differs. Without a certificate it is what the caller says,
// which nobody has verified, and where the call came from unless that is this machine.
func who(ctx context.Context, actor string) string {
	if name := verifiedName(ctx); name != "" {
		if actor != "" && actor != name {
			return name + " (as " + actor + ")"
		}
		return name
	}
	host := ""
	if p, ok := peer.FromContext(ctx); ok {
		if h, _, err := net.SplitHostPort(p.Addr.String()); err == nil {
			host = h
		}
	}
	addr, err := netip.ParseAddr(host)
	local := err == nil && addr.Unmap().IsLoopback()
	switch {
	case actor != "" && (local || host == ""):
		return actor
	case actor != "":
		return actor + " from " + host
	case host != "":
		return "unknown from " + host
	default:
		return "unknown"
	}
}

// problems collects what is wrong with a request.
type problems struct{ policy.Errors }

func (p *problems) add(code, field, value, message string) {
	p.Errors = append(p.Errors, invalid(code, field, value, message, ""))
}

// text bounds a text of a request. Of the control characters only those in allowed may be in it.
func (p *problems) text(field, value string, limit int, allowed string) {
	if len(value) > limit {
		p.add("too_long", field, value, fmt.Sprintf("has %d bytes; at most %d are taken", len(value), limit))
		return
	}
	if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune(allowed, r) }) {
		p.add("not_printable", field, value, "must not contain control characters")
	}
}

// name bounds the name of an object; whether there is one is for the controller.
func (p *problems) name(field, value string) {
	if value == "" {
		p.add("required", field, "", "is missing")
		return
	}
	p.optionalName(field, value)
}

func (p *problems) optionalName(field, value string) { p.text(field, value, maxName, "") }

func (p *problems) kind(value string) {
	if value != "service" && value != "fleet" && value != "mirror" && value != "rollout" {
		p.add("kind_unknown", "kind", value, "must be service, fleet, mirror or rollout")
	}
}

func (p *problems) documents(docs []*crossfadev1.Document) {
	if len(docs) > maxDocuments {
		p.add("too_many_documents", "documents", "", fmt.Sprintf("there are %d documents; at most %d are taken at once", len(docs), maxDocuments))
		return
	}
	for i, d := range docs {
		if d.GetObject() == nil {
			e := invalid("document_empty", fmt.Sprintf("documents[%d]", i), "", "holds no service, fleet, mirror or rollout", "")
			e.Document = i
			p.Errors = append(p.Errors, e)
		}
	}
}

// timeout reads how long to wait; absent or 0 is the default.
func (p *problems) timeout(field string, d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	if err := d.CheckValid(); err != nil || d.AsDuration() < 0 || d.AsDuration() > maxTimeout {
		p.add("out_of_range", field, d.AsDuration().String(), "must be between 0s and "+maxTimeout.String())
		return 0
	}
	return d.AsDuration()
}
