// Command churn measures what moving endpoints cost requests: rolling deploys on EKS and ECS, and how soon proxies follow.
//
// A real kube-apiserver, a fake ECS that the AWS SDK asks, the control plane, four Envoys with the bootstrap of deploy/envoy, and pods and
// tasks that are listeners of their own (package deploys) run as processes of one machine. Times of orchestrators are a tenth of their
// defaults; the control plane is not sped up, but for ECS, which it asks each second, the fastest it may. Where less than 97 % of the offered rate was
// sent, or the load itself was more than 1 s late with 1 % of the requests, the figures are invalid, and meet no aim: so it is
// with -rate 500 on two cores of an AMD EPYC, which hold the default.
//
// # Deploys
//
// Every endpoint of both is replaced, so many times, while an open-loop load asks for it; each fifth request is a POST, and nothing is
// retried by the client. Endpoints of EKS and ECS are asked under hosts of their own, HTTP/1.1 and HTTP/2, so that failures have an
// address. The cases differ in what applications do at SIGTERM: good ones serve on for a while and then finish what they have; others
// close the door at once and finish what they have; bad ones exit at once; the last exit at once too, but are told later (preStop; on ECS
// the deregistration from a load balancer). Counted is what failed, why, and how many requests arrived at an application. Of good
// ones nothing may fail, and each must arrive exactly once. Of the others there is no aim, and of a request that failed nobody can tell here whether
// it arrived, so neither whether another came twice.
//
// The peers are what the same proxies do with addresses that are looked up now and then, as DNS with a TTL is. They run at the same time, on the same
// deploys, by HTTP/1.1 and at a fifth of the rate. "our retries" has those of our services, which are the default: a connection that
// cannot be made is tried at another endpoint. So what it differs in from ours is what following endpoints is worth. "no retries" sends
// nothing again, as Envoy without a retry policy: what it differs in is worth both. The addresses get -ttl old, 3 s, a tenth of 30 s: that
// is the TTL which CoreDNS has in clusters by kubeadm (github.com/kubernetes/kubernetes/pull/76238). CoreDNS that is told nothing says 5 s
// (coredns.io/plugins/kubernetes): -ttl 500ms. That of Cloud Map, for ECS, its users set. No time is added that a resolver or a
// controller takes, nor does anybody hold on to an answer for longer.
//
// # Following
//
// One endpoint takes the place of another by a single change. The clock is read before the API is told. routed is when the first request
// of a proxy arrives at the new one, left when the last one arrives at the old one, by the logs of the two; each proxy is asked under a
// host of its own, and the slowest of the four counts. Times include the gap between two requests. Of EKS 150 ms are allowed, and of ECS
// as much from when it is asked next: that is after one poll, which is up to a tenth longer than set, so that many control planes do not
// ask at the same moment.
//
// # Faults
//
// The kube-apiserver is killed, AWS is down, both list nothing, for a minute each, under load; meanwhile both services are rolled back each second,
// and every proxy has to acknowledge each rollback.
//
// # Many
//
// 200 services with an origin of each source: what the sources are asked in a minute in which nothing changes, and what the control
// plane needs for it.
//
// # Metrics
//
//   - requests: all that were sent, and those that failed.
//   - routed, left: see Following.
//   - routed_proxy: routed, of each proxy.
//   - rollback_acked: from the call until every proxy has acknowledged.
//   - "calls: ...": requests to an API in a minute.
//   - "watches open": at the kube-apiserver.
//   - "cpu of the control plane": in that minute.
//   - "memory of the control plane": its resident set at the end of it.
//   - "memory of the control plane, peak": the highest since it was started.
package main
