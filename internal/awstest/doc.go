// Package awstest gives tests an AWS of their own on loopback, that ends with the test.
//
// [StartMoto] runs a real moto_server: it speaks the protocols of AWS, and is how the fake is held against something that others wrote.
// It is pinned, with all that it needs, in moto.lock, and installed once into ${XDG_CACHE_HOME:-~/.cache}/crossfade/moto.
//
// [ECS] is a fake of the few actions that discovery calls, because moto's tasks are running at once and then stopped: they never start,
// stop or get ill slowly, and a service starts none. It can fail, be slow, and be down, and it counts what it is asked.
package awstest
