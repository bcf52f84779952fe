package server

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/access"
)

// ActionDenied is the action of what was refused, in the history.
const ActionDenied = "denied"

// maxRead bounds how many revisions one page may look at: a caller who may see few of them gets a page that is short, and the token of the next.
const maxRead = 10_000

// place is a place in the history: between two revisions, and between two attempts that were refused. Each list is in an order of its own, and a page
// goes on in both where the last one ended.
type place struct{ revision, attempt int64 } // what comes next is below; 0: from the newest

// ListHistory implements the contract.
func (a *API) ListHistory(ctx context.Context, r *crossfadev1.ListHistoryRequest) (*crossfadev1.ListHistoryResponse, error) {
	var p problems
	list := "history\x00" + r.GetService()
	p.optionalName("service", r.GetService())
	size, last := p.size(r.GetPageSize()), p.token(r.GetPageToken(), list)
	from := p.place(r.GetPageToken(), last)
	if err := p.Err(); err != nil {
		return nil, err
	}
	h := &history{api: a, service: r.GetService(), see: a.sight(ctx), at: from}
	if err := h.read(ctx, size+1); err != nil { // one more says whether there is another page
		return nil, err
	}
	items, next := page(h.items, size, list, func(x *crossfadev1.Revision) string { return h.after[x].token() })
	if next == "" && h.more {
		next = newToken(list, h.at.token())
	}
	return &crossfadev1.ListHistoryResponse{Items: items, NextPageToken: next}, nil
}

// place reads where a page begins.
func (p *problems) place(token, last string) place {
	if last == "" {
		return place{}
	}
	revision, attempt, both := strings.Cut(last, ".")
	out, err := place{attempt: 1}, error(nil)
	if out.revision, err = strconv.ParseInt(revision, 10, 64); err == nil && both {
		out.attempt, err = strconv.ParseInt(attempt, 10, 64)
	}
	if err != nil || out.revision < 1 || out.attempt < 1 {
		p.add("page_token", "pageToken", token, "is not from an answer to this list")
	}
	return out
}

func (p place) token() string { return fmt.Sprintf("%d.%d", p.revision, p.attempt) }

// history reads a page: revisions and attempts in one order, that of time as far as each of both is in it.
type history struct {
	api     *API
	service string
	see     *sight
	at      place // behind what was looked at

	items []*crossfadev1.Revision
	after map[*crossfadev1.Revision]place // where it goes on behind each
	more  bool                            // it stopped before the end
}

// read reads so many items, or all there are.
func (h *history) read(ctx context.Context, most int) error {
	h.after = map[*crossfadev1.Revision]place{}
	attempts := h.attempts()
	for looked := 0; len(h.items) < most; {
		chunk, err := h.api.control.History(ctx, h.service, h.at.revision, most)
		if err != nil {
			return err
		}
		if h.at.revision == 0 { // what is made between two pages is on neither
			h.at.revision = 1
			if len(chunk) > 0 {
				h.at.revision = chunk[0].GetRevision() + 1
			}
		}
		for _, r := range chunk {
			for len(attempts) > 0 && !attempts[0].First.Before(r.GetTime().AsTime()) && len(h.items) < most {
				attempts = h.denied(attempts)
			}
			if len(h.items) == most {
				return nil
			}
			if h.at.revision = r.GetRevision(); h.see.revision(r) {
				h.add(r)
			}
		}
		if len(chunk) < most {
			break
		}
		if looked += len(chunk); looked >= maxRead && len(h.items) < most {
			h.more = true
			return nil
		}
	}
	for len(attempts) > 0 && len(h.items) < most {
		attempts = h.denied(attempts)
	}
	return nil
}

// attempts are those that the caller may see, newest first.
func (h *history) attempts() []access.Attempt {
	log := h.api.gate.attempts
	if log == nil || !h.api.Enforces() {
		h.at.attempt = max(h.at.attempt, 1)
		return nil
	}
	if h.at.attempt == 0 {
		h.at.attempt = log.Next()
	}
	var out []access.Attempt
	for _, x := range log.List(h.at.attempt) {
		if (h.service == "" || x.Service == h.service) && h.see.attempt(x) {
			out = append(out, x)
		}
	}
	return out
}

// denied adds the newest attempt, and returns the rest.
func (h *history) denied(attempts []access.Attempt) []access.Attempt {
	x := attempts[0]
	h.at.attempt = x.ID
	h.add(&crossfadev1.Revision{
		Time: timestamppb.New(x.First), Who: x.Who, Verified: x.Who != "", Action: ActionDenied, Service: x.Service, Kind: "Service",
		Denied: &crossfadev1.Denied{Method: x.Method, Role: x.Role, Count: x.Count, Last: timestamppb.New(x.Last)},
	})
	return attempts[1:]
}

func (h *history) add(r *crossfadev1.Revision) {
	h.items = append(h.items, r)
	h.after[r] = h.at
}
