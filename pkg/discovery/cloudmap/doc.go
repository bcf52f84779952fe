// Package cloudmap finds the endpoints of an origin among the instances of an AWS Cloud Map service, whoever registers them.
//
// # What it asks, and what that costs
//
// Cloud Map cannot be watched, so each [Target] is looked at every few seconds with one DiscoverInstances. It asks for the health status
// ALL and for 1000 instances: AWS's defaults are those that are healthy, or else all, and 100. There is no next page. If an answer is
// full, the service is looked at by the pages of ListInstances and GetInstancesHealthStatus instead, 100 instances each, after its ID was
// looked up once (ListNamespaces, ListServices). Those are actions of the control plane, for which AWS allows far less and does not say
// how much, so a look by pages comes only after 200 ms for each page: for 10,000 instances that is 200 pages, each 40 seconds.
//
// AWS allows an account 1000 DiscoverInstances a second in a region, and bursts of 2000; they cost 1 dollar a million. 200 services,
// each looked at every 5 seconds, are 40 a second: 4 % of what is allowed, and 103.7 million in 30 days, so 104 dollars. Every 15 seconds
// they are 35 dollars. Each control plane that runs pays for itself.
//
// DiscoverInstancesRevision would say whether instances came or went. It is not used: by AWS's own words a change of health does not
// change the revision, so an unhealthy instance would go on getting requests until the next full look. Nor would it save much:
// DiscoverInstances is far from its quota, and as far as we know a call of either costs the same.
//
// # What an instance becomes
//
// Its address is AWS_INSTANCE_IPV4, else AWS_INSTANCE_IPV6, with AWS_INSTANCE_PORT unless the target has a port. The zone is
// AVAILABILITY_ZONE, as ECS writes it. Other attributes are kept for people to see: the ID and up to 15 more, 256 bytes each.
//
// What is HEALTHY or UNKNOWN takes requests, and so does what has no health check. What is UNHEALTHY drains while any other is not:
// AWS's own clients no longer get to see it. If all are UNHEALTHY, all take requests, with their health to be seen: a check that fails
// everywhere says more of the check.
//
// Instances without an address (aliases of load balancers, CNAMEs, objects that are no servers) and malformed ones make the look fail,
// with an error that names the instance. Leaving them out would make an origin look as if it had shrunk.
//
// # What it cannot know
//
// How many instances there should be: an empty answer is told as one, and never as meant. And that an instance is about to stop: Cloud
// Map knows no draining, so what is deregistered vanishes without a word, and pkg/discovery decides what of that is believed at once. So
// deregister an instance first, wait for one poll and a second, and then stop it; or set it UNHEALTHY first. ECS deregisters a task
// when it begins to stop it: a task should go on to serve for that long after SIGTERM.
//
// [Source.Watch] needs servicediscovery:DiscoverInstances. Services of 1000 instances and more also need ListNamespaces, ListServices,
// ListInstances and GetInstancesHealthStatus.
package cloudmap
