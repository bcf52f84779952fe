package kubernetes

import (
	"context"
	"errors"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// attemptTimeout is how long a list may take, and a watch to begin.
const attemptTimeout = 30 * time.Second

// resource is what is listed and watched.
const resource = "endpointslices"

// errSlow is the cause of an attempt that took too long.
var errSlow = errors.New("no answer within " + attemptTimeout.String())

// source asks the API server, and notes how that went.
func (n *namespace) source() cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{ListWithContextFunc: n.list, WatchFuncWithContext: n.watch}, plainLists{})
}

// plainLists tells the reflector to list and then watch. Lists that are watches save memory for lists of many megabytes; their retries
// cannot be stopped, and neither could we.
type plainLists struct{}

// IsWatchListSemanticsUnSupported is what the reflector looks for.
func (plainLists) IsWatchListSemanticsUnSupported() bool { return true }

func (n *namespace) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	if !n.begin() {
		return nil, context.Canceled
	}
	defer n.asking.Done()
	ctx, cancel := context.WithTimeoutCause(ctx, attemptTimeout, errSlow)
	defer cancel()
	slices := &discoveryv1.EndpointSliceList{}
	err := n.cluster.client.Get().Namespace(n.name).Resource(resource).VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Into(slices)
	if err != nil {
		n.noteFailure(ctx, "list", err)
		return nil, err
	}
	return slices, nil
}

func (n *namespace) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	slow := time.AfterFunc(attemptTimeout, func() { cancel(errSlow) })
	o.Watch = true
	w, err := n.cluster.client.Get().Namespace(n.name).Resource(resource).VersionedParams(&o, metav1.ParameterCodec).Watch(ctx)
	if err == nil && !slow.Stop() {
		w.Stop()
		err = errSlow
	}
	if err != nil {
		slow.Stop()
		n.noteFailure(ctx, "watch", err)
		cancel(nil)
		return nil, err
	}
	n.opened()
	return &opened{Interface: w, n: n, cancel: cancel}, nil
}

// noteFailure tells an error, unless it is none: we are leaving, or the list is too old to go on from, and a new one comes at once.
func (n *namespace) noteFailure(ctx context.Context, verb string, err error) {
	slow := errors.Is(context.Cause(ctx), errSlow)
	if ctx.Err() != nil && !slow || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return
	}
	if slow {
		err = errSlow
	}
	n.failed(n.cluster.explain(err, verb, n.name, time.Now()))
}

// opened is a watch whose end is noted.
type opened struct {
	watch.Interface
	n      *namespace
	cancel context.CancelCauseFunc
}

// Stop is called by the reflector when the watch has ended, for whatever reason.
func (w *opened) Stop() {
	w.Interface.Stop()
	w.cancel(nil)
	w.n.ended()
}
