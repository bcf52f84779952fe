// Package hostile does to a whole control plane what nobody means well with: messages that are no messages, proxies that lie, files that
// are damaged, connections that are never used. It has to answer with a clear word, within bounded memory, and others must not notice. It
// has tests only. CROSSFADE_FULL=1 makes them as long as the promise is; without it they take a minute or two.
package hostile
