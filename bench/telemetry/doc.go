// Command telemetry measures what the statistics of a large fleet cost the control plane, and what guards see of them.
//
//	go run ./bench/telemetry -only cost        -quick shows that it works
//
// The control plane is a process of its own. A simulated fleet is another: each of its proxies has one connection, on which it follows its configuration
// (internal/deltaclient) and sends its statistics (bench/internal/statsim): flushes of OTLP at an interval, from a moment of its own on, and load reports
// when it is asked for them. What they send has the names, labels, buckets and sizes of a real Envoy 1.40's, which a test of statsim holds; nobody sends the
// requests that they tell of. Every proxy serves every service. A rollout is one of the API, at half, with four guards, whose service is busy at both origins.
//
// The aims: 1,000 proxies with 200 services that are all busy and 10 rollouts in progress cost at most one core of the control plane and 50 kB/s per proxy
// on the wire, and requests cost nothing: flat in their rate. A flush of 210 busy clusters has half a megabyte, so that 50 kB/s allow one every 11 s, and load
// reports take a sixth of it: the interval is 13 s unless -interval says otherwise. Bootstraps say 2 s unless `shadowctl bootstrap --flush-interval` does:
// the part intervals has the same aims there, which are missed. Each aim says at which interval it is.
//
// # Parts
//
// cost: without and with rollouts, in turns. rates: requests at 1, 10 and 100 per second, service and proxy, in turns; in the short form with fewer proxies
// that flush more often. intervals: longer ones and shorter ones, and both origins busy. sizes: more and more proxies, until the interval is not kept, the
// control plane needs three quarters of the machine's cores, or memory would not be enough; largest_fleet says which of these it was, and the slopes of
// straight lines through the sizes that were kept say what each further proxy costs. guards: candidates fail at all proxies, and how soon their rollouts go
// back; beside them two real Envoys with a service that nobody else serves: its candidate fails, then a sound one goes all its way.
//
// A part that fails, by counts that do not add up for one, makes its lines invalid. The others go on, all is written, and the exit code is 1.
//
// # Figures
//
// Each proxy flushes once in each interval, and a window is whole intervals, after one in which what was changed goes by. CPU is the time of the process, the
// kernel's for it included: what others do on the machine blurs it little, but for caches. Bytes are of messages as senders count them; those "on wire" are
// 4.6 % more: what IP, TCP and Ethernet put around them at an MTU of 1,500, where loopback has 65,536. gRPC and HTTP/2 add less than a thousandth, and
// acknowledgements, which go the other way, are not counted. Per proxy is the mean of the fleet, load reports included. Those are not even: at most 32
// proxies are asked for them while rollouts watch, and these send 250 kB/s each, for every message repeats the node; they have a line of their own, a
// sample each, and the metric bytes_of_load_reports says how much that is of all. flush_until_known is from when a flush is due until it is answered: by then
// the control plane has it in its windows. What it knows is up to an interval older.
//
// The simulator has the same cores as the control plane, so its CPU is said too. A window in which not all flushes came in time, one failed, or a rollout went
// back counts as failed. The lines of its case are invalid, and so is what is compared with them; neither meets an aim: they say only that the machine was too
// small or too busy.
//
// Counts are held, always: what the control plane has counted of each class in the end is what was sent, to the request, by simulated and by real proxies.
//
// Not shown: networks; TLS, which costs CPU per byte; Envoys 1.37, which send idle clusters too; proxies that do not all serve everything, which cost less.
// Guards of latencies and of few requests see only flushes, and so need up to two intervals: the simulated latencies do not change, so that is not measured.
//
// There is no peer: no control plane of the field takes the statistics of its proxies; who wants them runs Prometheus beside it.
//
// # Metrics
//
//   - cpu_of_control_plane, cpu_of_simulator: cores in use, on average.
//   - memory_of_control_plane: its resident set.
//   - bytes, bytes_of_load_reports: what the fleet sends in a second.
//   - bytes_per_proxy: the first of these by proxy.
//   - bytes_per_proxy_on_wire: that with what packets put around it.
//   - bytes_of_proxy_with_load_reports_on_wire: that of those proxies alone which are asked for load reports.
//   - proxies_with_load_reports: how many these are.
//   - bytes_per_flush: the size of one.
//   - flush_until_known, largest_fleet: see above.
//   - requests_counted: what was counted in the end. Failed is by how much that is not what was sent.
//   - real_requests_counted: that of the real Envoys. Failed are requests that no origin answered.
//   - cpu_of_control_plane_each_proxy, memory_of_control_plane_each_proxy: what each further proxy costs.
//   - proxies_per_core: one divided by the first of these.
//   - failing_until_decided: from when candidates begin to fail until their rollouts say that they go back.
//   - real_rollout_completed: how long the sound candidate took.
//   - part_completed: only where a part failed, whose lines are invalid.
package main
