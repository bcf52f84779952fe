package dnstest

import (
	"math"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Answer is what a name is answered with. The zero value has no address: the name exists, and that is all.
type Answer struct {
	Addrs  []netip.Addr // A and AAAA records, in this order
	TTL    time.Duration
	Code   dnsmessage.RCode // other than success: there are no records
	Silent bool             // nothing is sent at all
	Broken dnsmessage.Type  // the one type of question that fails; 0: none
}

// Answers that are no addresses.
var (
	NotFound = Answer{Code: dnsmessage.RCodeNameError} // NXDOMAIN
	Failure  = Answer{Code: dnsmessage.RCodeServerFailure}
	Empty    = Answer{}
	Silence  = Answer{Silent: true}
)

// Addresses is an answer with addresses, which hold for ttl, in whole seconds.
func Addresses(ttl time.Duration, addrs ...netip.Addr) Answer {
	return Answer{Addrs: addrs, TTL: ttl}
}

// message answers one question; nil: with silence.
func (a Answer) message(id uint16, q dnsmessage.Question) ([]byte, error) {
	if a.Silent {
		return nil, nil
	}
	if a.Broken == q.Type {
		a.Code = dnsmessage.RCodeServerFailure
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, Response: true, Authoritative: true, RecursionDesired: true, RecursionAvailable: true, RCode: a.Code},
		Questions: []dnsmessage.Question{q},
	}
	for _, addr := range a.Addrs {
		if body := record(addr, q.Type); body != nil && a.Code == dnsmessage.RCodeSuccess {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: seconds(a.TTL)}, Body: body,
			})
		}
	}
	return m.Pack()
}

// record is an address as a record of the type asked for; nil if it is of another.
func record(addr netip.Addr, kind dnsmessage.Type) dnsmessage.ResourceBody {
	switch {
	case addr.Is4() && kind == dnsmessage.TypeA:
		return &dnsmessage.AResource{A: addr.As4()}
	case addr.Is6() && kind == dnsmessage.TypeAAAA:
		return &dnsmessage.AAAAResource{AAAA: addr.As16()}
	}
	return nil
}

func seconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 0), math.MaxInt32))
}
