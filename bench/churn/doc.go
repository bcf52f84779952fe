// Command churn measures what moving endpoints cost requests: rolling deploys on EKS and ECS, and how soon proxies follow.
//
// A real kube-apiserver, a fake ECS that the AWS SDK asks, the control plane, four Envoys with the bootstrap of deploy/envoy, and pods and
// tasks that are listeners of their own (package deploys) run as processes of one machine. Times of orchestrators are a tenth of their
// defaults; the control plane is not sped up, but for ECS, which it asks each second, the fastest it may.
//
// # Deploys
//
// Every endpoint of both is replaced, so many times, while an open-loop load asks for it; each fifth request is a POST, and nothing is
// retried by the client. Endpoints of EKS and ECS are asked under hosts of their own, HTTP/1.1 and HTTP/2, so that failures have an
// address. The cases differ in what applications do at SIGTERM: good ones serve on for a while and then finish what they have; others
// close the door at once and finish what they have; bad ones exit at once; the last exit at once too, but are told later (preStop; on ECS
// the deregistration from a load balancer). Counted is what
// failed, why, and whether every request arrived exactly once.
//
// The peer is what the same proxies do with addresses that are looked up now and then, as DNS with a TTL is, and without retries. It runs at
// the same time, on the same deploy.
//
// # Following
//
// One endpoint takes the place of another by a single change. The clock is read before the API is told. routed is when the first request
// of a proxy arrives at the new one, left when the last one arrives at the old one, by the logs of the two; each proxy is asked under a
// host of its own, and the slowest of the four counts. Times include the gap between two requests.
//
// # Faults
//
// The kube-apiserver is killed, AWS is down, both list nothing, for a minute each, under load; meanwhile a rollback each second has to be
// acknowledged by all proxies.
//
// # Many
//
// 200 services with an origin of each source: what the sources are asked in a minute in which nothing changes, and what the control
// plane needs for it.
package main
