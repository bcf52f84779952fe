package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// listeners are the bound addresses, by name.
type listeners map[string]net.Listener

// bind takes every address, or none.
func bind(c *config) (listeners, error) {
	out := listeners{}
	for _, l := range c.listens() {
		ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", l.address)
		if err != nil {
			out.close()
			return nil, bindError(l, err)
		}
		out[l.name] = ln
		if !c.secure() && !isLoopback(ln) {
			out.close()
			return nil, notLoopback(l)
		}
	}
	return out, nil
}

func isLoopback(ln net.Listener) bool {
	a, ok := ln.Addr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

func (ls listeners) close() {
	for _, l := range ls {
		_ = l.Close()
	}
}

// bindError says what stands in the way of an address.
func bindError(l listen, err error) *policy.Error {
	_, port, _ := net.SplitHostPort(l.address)
	e := &policy.Error{Kind: policy.Unavailable, Code: "cannot_listen", Field: l.flag, Value: l.address, Message: "cannot be listened on: " + err.Error()}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Code, e.Message = "port_in_use", "the port is in use, perhaps by another xds-server"
		e.Next = fmt.Sprintf("`ss -ltnp 'sport = :%s'` shows by whom; stop it, or choose another %s (port 0 is any free one)", port, l.flag)
	case errors.Is(err, syscall.EACCES):
		e.Code, e.Message, e.Next = "port_denied", "this user may not listen on that port", "choose one from 1024 on"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Code, e.Message, e.Next = "not_an_address_here", "this machine has no such address", ""
	}
	return e
}

// bound returns the addresses that were bound: what programs on this machine use.
func (ls listeners) bound() map[string]string {
	out := map[string]string{}
	for name, l := range ls {
		out[name] = l.Addr().String()
	}
	return out
}

// advertised returns the addresses with the host by which others reach them.
func (ls listeners) advertised(host string) map[string]string {
	out := ls.bound()
	for name, address := range out {
		if _, port, err := net.SplitHostPort(address); err == nil && host != "" {
			out[name] = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
	}
	return out
}
