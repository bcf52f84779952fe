// Package deploys plays the orchestrators of a rolling deploy: pods of Kubernetes and tasks of ECS that start, get ready, are told to stop
// and end, with real listeners behind real announcements, so that tests and benchmarks see what a deploy does to requests.
//
//	pods, err := deploys.NewKubernetes(deploys.Cluster{Kubeconfig: s.Kubeconfig(kubetest.Admin), Namespace: ns}, deploys.Spec{Name: "eks", Port: 8080})
//	pods.Scale(ctx, 20)
//	pods.Replace(ctx, deploys.Rollout{Surge: 5})
//
// A replica 10.a.b.c is an origin that listens at 127.a.b.c, for no API server takes loopback addresses as endpoints. Addresses are not used
// twice. What is announced and what is done happens in the order of the real ones: a pod is told to stop (SIGTERM) at the moment at which
// its slice is told, not after it. Only times are shorter; they are parameters, see [Life].
package deploys
