// Package kubernetes finds the endpoints of an origin in the EndpointSlices of a Kubernetes cluster, EKS or any other, and hears of
// changes within milliseconds.
//
// A [Cluster] opens one watch for each namespace that has an origin, however many services are followed there. client-go's reflector
// lists and watches; it fills a store of ours rather than one of client-go's informers, for two reasons. An informer shows a first list
// slice by slice, and a part of an origin looks like an origin that shrank. And it keeps failures to connect to itself, while here each
// is told in a sentence.
//
// What a lost watch does: nothing to what is known. Each target is told the error, again with each attempt that fails, and once the
// watch is back, what there is now.
//
// A [Target] needs only to list and watch endpointslices: deploy/kubernetes/rbac.yaml grants that.
package kubernetes
